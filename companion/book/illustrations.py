"""Drawn diagrams of the pages of prose, from the graph, the networks and images of a build."""

from typing import TYPE_CHECKING

from ccl.generator.generator import Generator, counterfactuals, load
from companion.book import diagrams
from companion.book.crops_diagram import multi_crop
from companion.book.grids import pick
from companion.book.markdown import raw
from companion.cohorts.cohort import Cohort
from companion.engine import pointers

if TYPE_CHECKING:
    from companion.experiments.config import Experiment

PARTS = ("chain", "hvae", "graphs", "multicrop")
STEPS = (
    ("Cohort", "images and table, split by patient"),
    ("Generator", "a causal model of the image"),
    ("Counterfactuals", "each image on every scanner"),
    ("Pretraining", "one objective, pairs made differently"),
    ("Probing", "what frozen features are worth"),
    ("Claims", "effects with intervals, and verdicts"),
)
# What `companion.cohorts.simulation` computes from what, besides each variable's own noise.
PHANTOMS = {
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


def pages(experiment: "Experiment") -> dict[str, str]:
    """Diagrams of a finished experiment: file name to Markdown."""
    root = experiment.root
    cohort = Cohort.load(pointers.read_pointer(root, "cohort").folder)
    generator = load(pointers.read_pointer(root, "generator").folder)
    crops = experiment.pretraining.dino.crops.local_crops
    return {f"{name}.md": raw(html) for name, html in drawn(cohort, generator, crops).items()}


def drawn(cohort: Cohort, generator: Generator, local_crops: int) -> dict[str, str]:
    """The same as HTML; crops of a counterfactual are left out where there is none."""
    graphs = {**PHANTOMS, "This build's generator": generator.parents.graph}
    return dict.fromkeys(PARTS, "") | {
        "chain": diagrams.chain(STEPS),
        "hvae": diagrams.hierarchy(generator.hvae.options, cohort.images.shape[1:]),
        "graphs": _beside({name: diagrams.causal_graph(graph) for name, graph in graphs.items()}),
        "multicrop": _multi_crop(cohort, generator, local_crops),
    }


def _beside(drawings: dict[str, str]) -> str:
    figures = "".join(
        f"<figure>{svg}<figcaption>{name}</figcaption></figure>" for name, svg in drawings.items()
    )
    return f'<div class="ccl-beside">{figures}</div>'


def _multi_crop(cohort: Cohort, generator: Generator, local_crops: int) -> str:
    scanners = generator.parents.values.get("scanner", ())
    if len(scanners) < 2:
        return ""
    rows = pick(cohort, 1)[:1]
    (made,) = counterfactuals(generator, cohort, rows, "scanner")
    own = int(cohort.codes("scanner", rows)[0])
    return multi_crop(made[own], made[(own + 1) % len(scanners)], local_crops)
