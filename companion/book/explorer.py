"""The explorer: choose a patient and a target, see the counterfactual, its change and its truth.

In a page it needs no kernel: it runs a small generator itself, and shows stored counterfactuals of
a large one. In a notebook a large one answers from the kernel.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import anywidget
import ipywidgets
import matplotlib as mpl
import numpy as np
import traitlets

from ccl.generator.generator import Generator, to_images
from companion.book.live import Live, live
from companion.book.projections import label_name
from companion.book.templates import png, png_uri
from companion.book.widgets import render_function, script, style, widget_html
from companion.cohorts.cohort import Cohort
from companion.cohorts.truths import has_truth, true_counterfactual

Target = tuple[str, str]  # (scanner, sex); sex is '' where the cohort does not know it
LIMIT = 100  # grey levels (of 255) at which the difference colours end


@dataclass(frozen=True)
class ExplorerItem:
    """One patient's image and what became of it under every offered intervention.

    Attributes:
        patient: name to show.
        scanner: the scanner that took the image.
        sex: 'F', 'M' or '' for unknown.
        label: class name to show.
        real: uint8 (H, W).
        counterfactuals: (scanner, sex) to uint8 (H, W); empty where the page makes them.
        truths: (scanner, sex) to the true counterfactual, uint8 (H, W); empty on real cohorts.
        parents: every parent of the image to its value, where the page makes counterfactuals.
    """

    patient: str
    scanner: str
    sex: str
    label: str
    real: np.ndarray
    counterfactuals: Mapping[Target, np.ndarray]
    truths: Mapping[Target, np.ndarray] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)


def explorer_page(cohort: Cohort, generator: Generator, rows: np.ndarray) -> str:
    """The explorer of some patients as HTML: computed in the page, or stored for a large generator.

    Args:
        cohort: of the patients.
        generator: makes the counterfactuals.
        rows: (n,) rows of pretraining scanners.
    """
    opened = live(generator)
    return explorer_html(explorer_items(cohort, generator, rows, stored=opened is None), opened)


def live_explorer(cohort: Cohort, generator: Generator, rows: np.ndarray) -> ipywidgets.DOMWidget:
    """The same for a running notebook; a large generator answers from the kernel."""
    opened = live(generator)
    items = explorer_items(cohort, generator, rows, stored=False)
    if opened is not None:
        return _Explorer(data=explorer_data(items, opened), weights=opened.weights)

    def decode(position: int, do: dict[str, str]) -> np.ndarray:
        exogenous = generator.abduct(*generator.observed(cohort, rows[[position]]))
        return to_images(generator.predict(exogenous, do=do))[0]

    values = generator.parents.values
    return explore(decode, items, scanners=values["scanner"], sexes=values.get("sex", ()))


class _Explorer(anywidget.AnyWidget):
    _esm = f"{script('explorer')}\nexport default {{ render: {render_function('explorer')} }};"
    _css = style("explorer")
    data = traitlets.Dict().tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)


def explorer_items(
    cohort: Cohort, generator: Generator, rows: np.ndarray, *, stored: bool = True
) -> list[ExplorerItem]:
    """Some patients, with the truth of every intervention where it is known.

    Args:
        cohort: of the patients.
        generator: abducts once per patient and predicts under every intervention.
        rows: (n,) rows of pretraining scanners.
        stored: with their counterfactuals under every intervention.
    """
    known = generator.parents
    names = [name for name in ("scanner", "sex") if name in known.values]
    interventions = [
        dict(zip(names, values, strict=True))
        for values in product(*(known.values[name] for name in names))
    ]
    targets = {(do["scanner"], do.get("sex", "")): do for do in interventions}
    made: dict[Target, np.ndarray] = {}
    true: dict[Target, np.ndarray] = {}
    if stored:
        exogenous = generator.abduct(*generator.observed(cohort, rows))
        made = {t: to_images(generator.predict(exogenous, do=do)) for t, do in targets.items()}
    if has_truth(cohort):
        true = {t: true_counterfactual(cohort, rows, do) for t, do in targets.items()}
    codes, table = known.codes(cohort, rows), cohort.table.iloc[rows].to_dict("records")
    return [
        ExplorerItem(
            patient=str(facts["patient_id"]),
            scanner=str(facts["scanner"]),
            sex=str(facts["sex"]) if "sex" in names else "",
            label=label_name(cohort, facts["label"]),
            real=np.asarray(cohort.images[row]),
            counterfactuals={target: images[i] for target, images in made.items()},
            truths={target: images[i] for target, images in true.items()},
            parents={name: some[int(codes[name][i])] for name, some in known.values.items()},
        )
        for i, (row, facts) in enumerate(zip(rows, table, strict=True))
    ]


def explorer_html(items: Sequence[ExplorerItem], opened: Live | None = None) -> str:
    """The explorer as self-contained HTML, for a static page.

    Args:
        items: the patients on offer; all images of one size.
        opened: the generator that the page runs; without, it shows the stored counterfactuals.

    Returns:
        An HTML fragment; several may stand on one page.
    """
    weights = opened.weights if opened else b""
    return widget_html("explorer", explorer_data(items, opened), weights)


def explorer_data(items: Sequence[ExplorerItem], opened: Live | None) -> dict[str, Any]:
    """What the script reads, see explorer.js."""
    if not items:
        raise ValueError("the explorer needs at least one patient")
    height, width = items[0].real.shape
    return {
        "width": width,
        "height": height,
        "limit": LIMIT,
        "values": opened.description["parents"] if opened else _targets(items),
        "generator": opened.description if opened else None,
        "items": [_item_data(item) for item in items],
    }


def _targets(items: Sequence[ExplorerItem]) -> dict[str, list[str]]:
    """Scanners and sexes on offer, in the order in which they first occur."""
    offered = [target for item in items for target in item.counterfactuals]
    scanners, sexes = ([target[k] for target in offered] for k in (0, 1))
    return {"scanner": list(dict.fromkeys(scanners)), "sex": list(dict.fromkeys(sexes))}


def _item_data(item: ExplorerItem) -> dict[str, Any]:
    """One item for the script: its images side by side in one PNG, and who is where."""
    images = [item.real, *item.counterfactuals.values(), *item.truths.values()]
    after = 1 + len(item.counterfactuals)
    return {
        "patient": item.patient,
        "scanner": item.scanner,
        "sex": item.sex,
        "label": item.label,
        "parents": dict(item.parents) or {"scanner": item.scanner, "sex": item.sex},
        "sprite": png_uri(np.concatenate(images, axis=1)),
        "counterfactuals": {_key(t): 1 + i for i, t in enumerate(item.counterfactuals)},
        "truths": {_key(t): after + i for i, t in enumerate(item.truths)},
    }


def _key(target: Target) -> str:
    """A target as JavaScript's JSON.stringify([scanner, sex]) writes it."""
    return json.dumps(list(target), separators=(",", ":"), ensure_ascii=False)


def explore(
    decode: Callable[[int, dict[str, str]], np.ndarray],
    items: Sequence[ExplorerItem],
    *,
    scanners: Sequence[str],
    sexes: Sequence[str] = (),
) -> ipywidgets.Widget:
    """The explorer with the generator in the kernel, where it is too large for a page.

    Args:
        decode: (index of the item, do) to uint8 (H, W); called at every change. `do` holds
            'scanner', and 'sex' where `sexes` are offered.
        items: the patients on offer; their stored counterfactuals are not used, their truths are.
        scanners: target scanners on offer.
        sexes: target sexes on offer; none hides the choice.

    Returns:
        The widget, to be displayed.
    """
    names = [(f"{item.patient} ({item.label}, {item.scanner})", i) for i, item in enumerate(items)]
    patient = ipywidgets.Dropdown(options=names, description="Patient")
    scanner = ipywidgets.ToggleButtons(options=list(scanners), description="Scanner")
    sex = ipywidgets.ToggleButtons(options=list(sexes) or [""], description="Sex")
    titles = ("Real", "Counterfactual", "Counterfactual − real", "Truth", "Counterfactual − truth")
    images = {title: ipywidgets.Image(format="png") for title in titles}
    boxes = {t: ipywidgets.VBox([ipywidgets.Label(t), image]) for t, image in images.items()}

    def update(_: object = None) -> None:
        item = items[patient.value]
        do = {"scanner": scanner.value} | ({"sex": sex.value} if sexes else {})
        made = decode(patient.value, do)
        truth = item.truths.get((scanner.value, sex.value if sexes else item.sex))
        panels = {"Real": item.real, "Counterfactual": made}
        panels["Counterfactual − real"] = difference_image(made, item.real)
        if truth is not None:
            panels["Truth"] = truth
            panels["Counterfactual − truth"] = difference_image(made, truth)
        for title, image in images.items():
            boxes[title].layout.display = "" if title in panels else "none"
            if title in panels:
                image.value = png(panels[title].repeat(3, axis=0).repeat(3, axis=1))

    for control in (patient, scanner, sex):
        control.observe(update, names="value")
    update()
    controls = [patient, scanner, sex] if sexes else [patient, scanner]
    wrap = ipywidgets.Layout(flex_flow="row wrap")
    return ipywidgets.VBox([*controls, ipywidgets.Box(list(boxes.values()), layout=wrap)])


def difference_image(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Signed difference of uint8 (H, W): blue darker, white unchanged, red brighter; (H, W, 3)."""
    signed = after.astype(np.float64) - before.astype(np.float64)
    colours = mpl.colormaps["RdBu_r"](np.clip(signed / LIMIT, -1, 1) / 2 + 0.5)
    return np.round(255 * colours[..., :3]).astype(np.uint8)
