"""Drawn parts of the pages: this build's images, graph, networks and effects."""

from collections.abc import Mapping, Sequence

import numpy as np

from ccl.generator.generator import Generator, counterfactuals, load
from ccl.generator.hvae_options import HVAEOptions
from companion.book import forest
from companion.book.grids import pick
from companion.book.markdown import raw
from companion.book.report import Verdicts
from companion.book.templates import png_uri, render
from companion.book.widgets import widget_html
from companion.claims import ledger
from companion.claims.judging import Finding
from companion.cohorts.cohort import Cohort
from companion.engine import pointers
from companion.experiments.config import Experiment

# What `companion.cohorts.simulation` computes from what, besides each variable's own noise.
PHANTOMS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "Chest radiographs": {
        "sex": (),
        "age": (),
        "anatomy": ("sex", "age"),
        "finding": (),
        "radiance": ("anatomy", "finding"),
        "scanner": (),
        "image": ("radiance", "scanner"),
    },
    "Mammograms": {
        "age": (),
        "density": ("age",),
        "implant": (),
        "view": (),
        "radiance": ("density", "implant", "view"),
        "scanner": (),
        "image": ("radiance", "scanner"),
    },
}
# Parts that show counterfactuals; empty where the generator has no scanners.
OF_PATIENTS = ("hero", "method", "door-reader", "multicrop")
PARTS = ("chain", "hvae", "graphs", "forest", "door-lecturer", "door-researcher", *OF_PATIENTS)
PATIENTS = 2  # of each scanner
SIMILARITIES = (0.7, 0.75, 0.5, 0.3, 0.05)  # of a pair and of four negatives, as in the lecture
TEMPERATURE = 0.2
RADIUS = 36.0  # of a variable of a graph

# Of crops: upper left corner and side, as shares of the image's.
Frame = tuple[float, float, float]
GLOBAL: Frame = (0.08, 0.04, 0.84)
LOCAL: tuple[Frame, ...] = (
    (0.08, 0.12, 0.3),
    (0.58, 0.5, 0.3),
    (0.52, 0.08, 0.26),
    (0.14, 0.58, 0.28),
)


def pages(experiment: Experiment, verdicts: Verdicts) -> dict[str, str]:
    """The drawn parts of a finished experiment's book: file name to Markdown."""
    cohort = Cohort.load(pointers.read_pointer(experiment.root, "cohort").folder)
    generator = load(pointers.read_pointer(experiment.root, "generator").folder)
    rows = forest.effects(*verdicts, ledger.load(), experiment.cohort_name)
    drawn = {
        "chain": render("chain.svg"),
        "hvae": hierarchy(generator.hvae.options, cohort.images.shape[1:]),
        "graphs": causal_graphs({**PHANTOMS, "This build's generator": generator.parents.graph}),
        "forest": forest.forest_html(rows),
        "door-lecturer": softmax(SIMILARITIES, TEMPERATURE),
        "door-researcher": intervals(verdicts.built),
    }
    crops = experiment.pretraining.dino.crops.local_crops
    drawn |= dict.fromkeys(OF_PATIENTS, "") | of_patients(cohort, generator, crops)
    return {f"{name}.md": raw(html) for name, html in drawn.items()}


def of_patients(cohort: Cohort, generator: Generator, local_crops: int) -> dict[str, str]:
    """What shows counterfactuals, as HTML; nothing where the generator has no scanners."""
    scanners = generator.parents.values.get("scanner", ())
    if len(scanners) < 2:
        return {}
    rows = pick(cohort, PATIENTS)
    made = counterfactuals(generator, cohort, rows, "scanner")
    own = cohort.codes("scanner", rows)
    taking_turns = sorted(range(len(rows)), key=lambda i: i % PATIENTS)
    asked = (own[0] + 1) % len(scanners)
    names = {"own": scanners[own[0]], "asked": scanners[asked]}
    real, counterfactual, other = made[0][own[0]], made[0][asked], made[1][own[1]]
    return {
        "hero": hero(made[taking_turns], own[taking_turns], scanners),
        "method": method(real, counterfactual, other, **names),
        "door-reader": split_image(real, counterfactual, **names),
        "multicrop": multi_crop(real, counterfactual, local_crops),
    }


def hero(made: np.ndarray, own: np.ndarray, scanners: Sequence[str]) -> str:
    """The landing page's first screen: radiographs that turn from one scanner into another.

    Args:
        made: patients under every scanner, uint8 (n, K, H, W).
        own: (n,) places in `scanners` of what took the images.
        scanners: K names.
    """
    items = [
        {"own": int(place), "sprite": png_uri(np.concatenate(images, axis=1))}
        for place, images in zip(own, made, strict=True)
    ]
    height, width = made.shape[2:]
    data = {"width": width, "height": height, "scanners": list(scanners), "items": items}
    return render("hero.html", picture=widget_html("hero_picture", data))


def method(
    real: np.ndarray, counterfactual: np.ndarray, other: np.ndarray, own: str, asked: str
) -> str:
    """Counterfactual contrastive learning in one picture.

    Args:
        real: a patient's image, uint8 (H, W).
        counterfactual: the same patient's under another scanner.
        other: another patient's image.
        own, asked: the scanners of `real` and of `counterfactual`.
    """
    width = 120 * real.shape[1] / real.shape[0]
    images = {"real": real, "counterfactual": counterfactual, "other": other}
    return render("method.svg", width=width, own=own, asked=asked, **images)


def split_image(left: np.ndarray, right: np.ndarray, own: str, asked: str) -> str:
    """One patient, half on one scanner and half on another: uint8 (H, W) each."""
    cut = left.shape[1] // 2
    both = np.concatenate([left[:, :cut], right[:, cut:]], axis=1)
    return render("split.svg", both=both, own=own, asked=asked)


def multi_crop(real: np.ndarray, counterfactual: np.ndarray, local_crops: int) -> str:
    """CF-DINO's crops: of whom they are, and which of them teacher and student see.

    Args:
        real, counterfactual: uint8 (H, W).
        local_crops: of a pair; at most four of each image are drawn.
    """
    frames = LOCAL[: local_crops // 2]
    real_crops, counterfactual_crops = (
        {"image": image, "whole": _crop(image, GLOBAL), "parts": [_crop(image, f) for f in frames]}
        for image in (real, counterfactual)
    )
    return render("multicrop.svg", real=real_crops, counterfactual=counterfactual_crops)


def _crop(image: np.ndarray, frame: Frame) -> tuple[Frame, np.ndarray]:
    """A frame, and what it cuts out."""
    x, y, side = frame
    (top, bottom), (left, right) = (
        (round(start * size), round((start + side) * size))
        for start, size in zip((y, x), image.shape, strict=True)
    )
    return frame, image[top:bottom, left:right]


def hierarchy(options: HVAEOptions, frame: tuple[int, ...]) -> str:
    """The HVAE with its resolutions, for images of a height and a width."""
    return render("hvae.svg", stages=options.stages, frame=frame)


def causal_graphs(graphs: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """Causal graphs beside each other, by their names."""
    drawn = {name: causal_graph(graph) for name, graph in graphs.items()}
    return render("graphs.html", graphs=drawn)


def causal_graph(graph: Mapping[str, Sequence[str]]) -> str:
    """Variables layer by layer, each above what it causes; an arrow from each cause.

    Args:
        graph: variable to its causes, in topological order; the last is drawn as what is made.
    """
    layers = _layers(graph)
    width = 96.0 * max(map(len, layers)) + 8
    places = {
        name: (width / 2 + 96 * (i - (len(layer) - 1) / 2), 38 + 92.0 * depth)
        for depth, layer in enumerate(layers)
        for i, name in enumerate(layer)
    }
    arrows = [
        _between(places[cause], places[effect])
        for effect, causes in graph.items()
        for cause in causes
    ]
    size = {"width": width, "height": 92 * len(layers) - 14, "radius": RADIUS}
    in_order = {name: places[name] for name in graph}
    return render("causal_graph.svg", graph=graph, places=in_order, arrows=arrows, **size)


def _layers(graph: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Variables in layers, each as near above what it causes as can be."""
    height: dict[str, int] = {}
    for name in reversed(list(graph)):
        effects = [height[other] for other, causes in graph.items() if name in causes]
        height[name] = 1 + max(effects, default=-1)
    levels = range(max(height.values()), -1, -1)
    return [[name for name in graph if height[name] == level] for level in levels]


def _between(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, ...]:
    """An arrow between the rims of two variables: its start and end."""
    (x, y), (u, v) = start, end
    length = float(np.hypot(u - x, v - y))
    across, down = (u - x) / length, (v - y) / length
    from_rim, to_rim = RADIUS, RADIUS + 3
    return (
        *(x + from_rim * across, y + from_rim * down),
        *(u - to_rim * across, v - to_rim * down),
    )


def softmax(similarities: Sequence[float], temperature: float) -> str:
    """Shares of the softmax as bars, the positive's first."""
    mass = np.exp(np.asarray(similarities) / temperature)
    return render("softmax.svg", shares=(mass / mass.sum()).tolist())


def intervals(findings: Sequence[Finding]) -> str:
    """The first six differences in AUC, with their intervals around zero."""
    estimates = [
        outcome.effect.estimate
        for finding in findings
        for outcome in finding.outcomes
        if outcome.effect is not None and outcome.effect.unit == "AUC"
    ]
    found = [(each.value, *each.interval()) for each in estimates]
    effects = [each for each in found if np.isfinite(each).all()][:6]
    reach = max([abs(end) for each in effects for end in each] + [1e-9])
    return render("intervals.svg", effects=effects, reach=reach)
