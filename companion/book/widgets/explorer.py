"""The explorer: choose a patient and a target, see the counterfactual, its change and its truth.

`explorer_html` makes a self-contained HTML component that moves without a kernel (images, style
and script are inline, nothing is loaded); `explore` is its live form in a notebook.
"""

import base64
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import ipywidgets
import matplotlib as mpl
import numpy as np
from PIL import Image

Target = tuple[str, str]  # (scanner, sex); sex is '' where the cohort does not know it


@dataclass(frozen=True)
class ExplorerItem:
    """One patient's image and what became of it under every offered intervention.

    Attributes:
        patient: name to show.
        scanner: the scanner that took the image.
        sex: 'F', 'M' or '' for unknown.
        label: class name to show.
        real: uint8 (H, W).
        counterfactuals: (scanner, sex) to uint8 (H, W).
        truths: (scanner, sex) to the true counterfactual, uint8 (H, W); empty on real cohorts.
    """

    patient: str
    scanner: str
    sex: str
    label: str
    real: np.ndarray
    counterfactuals: Mapping[Target, np.ndarray]
    truths: Mapping[Target, np.ndarray] = field(default_factory=dict)


def explorer_html(items: Sequence[ExplorerItem], *, difference_limit: int = 100) -> str:
    """The explorer as self-contained HTML, for a static page.

    Args:
        items: the patients on offer; all images of one size.
        difference_limit: grey levels (of 255) at which the difference colours end.

    Returns:
        An HTML fragment; several may stand on one page.

    Raises:
        ValueError: no items, an image of another size or type, or nothing to choose.
    """
    height, width = _check(items)
    scanners, sexes = _targets(items)
    data = {
        "width": width,
        "height": height,
        "limit": difference_limit,
        "scanners": scanners,
        "sexes": sexes,
        "items": [_item_data(item) for item in items],
    }
    text = script_json(data)
    parts = {
        "key": hashlib.sha256(text.encode()).hexdigest()[:12],
        "css": asset("widget.css"),
        "js": asset("explorer.js"),
        "limit": str(int(difference_limit)),
        "data": text,  # last: whatever stands in it is not looked at again
    }
    return filled("explorer.html", parts)


def _check(items: Sequence[ExplorerItem]) -> tuple[int, int]:
    """Height and width that all images share."""
    if not items:
        raise ValueError("the explorer needs at least one item")
    shape = items[0].real.shape
    for item in items:
        if not item.counterfactuals:
            raise ValueError(f"explorer item '{item.patient}' has no counterfactual to show")
        for image in (item.real, *item.counterfactuals.values(), *item.truths.values()):
            if image.dtype != np.uint8 or image.ndim != 2 or image.shape != shape:
                raise ValueError(
                    f"explorer item '{item.patient}': expected uint8 {shape} images, "
                    f"got {image.dtype} {image.shape}"
                )
    return int(shape[0]), int(shape[1])


def _targets(items: Sequence[ExplorerItem]) -> tuple[list[str], list[str]]:
    """Scanners and sexes on offer, in the order in which they first occur."""
    offered = [target for item in items for target in item.counterfactuals]
    scanners, sexes = ([target[k] for target in offered] for k in (0, 1))
    return list(dict.fromkeys(scanners)), list(dict.fromkeys(sexes))


def _item_data(item: ExplorerItem) -> dict[str, Any]:
    """One item for the script: its images side by side in one PNG, and who is where."""
    images = [item.real, *item.counterfactuals.values(), *item.truths.values()]
    after = 1 + len(item.counterfactuals)
    return {
        "patient": item.patient,
        "scanner": item.scanner,
        "sex": item.sex,
        "label": item.label,
        "sprite": "data:image/png;base64," + png_base64(np.concatenate(images, axis=1)),
        "counterfactuals": {_key(t): 1 + i for i, t in enumerate(item.counterfactuals)},
        "truths": {_key(t): after + i for i, t in enumerate(item.truths)},
    }


def _key(target: Target) -> str:
    """A target as JavaScript's JSON.stringify([scanner, sex]) writes it."""
    return json.dumps(list(target), separators=(",", ":"), ensure_ascii=False)


def script_json(data: Any) -> str:
    """JSON that cannot leave the <script> element it stands in."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def png_base64(image: np.ndarray) -> str:
    """A uint8 image as base64 of its PNG, to stand inside a page."""
    return base64.b64encode(_png(image)).decode("ascii")


def filled(name: str, parts: Mapping[str, str]) -> str:
    """A page beside this module with its @@places@@ filled in, in the order of the parts."""
    page = asset(name)
    for place, part in parts.items():
        page = page.replace(f"@@{place}@@", part)
    return page


def asset(name: str) -> str:
    """The text of a file in `companion/book/widgets/`."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


# Live, in a notebook


def explore(
    decode: Callable[[int, dict[str, str]], np.ndarray],
    items: Sequence[ExplorerItem],
    *,
    scanners: Sequence[str],
    sexes: Sequence[str] = (),
    difference_limit: int = 100,
    scale: int = 3,
) -> ipywidgets.Widget:
    """The explorer with a live generator behind it; needs a running kernel.

    Args:
        decode: (index of the item, do) to uint8 (H, W); called at every change. `do` holds
            'scanner', and 'sex' where `sexes` are offered.
        items: the patients on offer; their stored counterfactuals are not used, their truths are.
        scanners: target scanners on offer.
        sexes: target sexes on offer; none hides the choice.
        difference_limit: grey levels (of 255) at which the difference colours end.
        scale: whole factor by which images are enlarged.

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
        panels["Counterfactual − real"] = difference_image(made, item.real, difference_limit)
        if truth is not None:
            panels["Truth"] = truth
            panels["Counterfactual − truth"] = difference_image(made, truth, difference_limit)
        for title, image in images.items():
            boxes[title].layout.display = "" if title in panels else "none"
            if title in panels:
                image.value = _png(panels[title].repeat(scale, axis=0).repeat(scale, axis=1))

    for control in (patient, scanner, sex):
        control.observe(update, names="value")
    update()
    controls = [patient, scanner, sex] if sexes else [patient, scanner]
    wrap = ipywidgets.Layout(flex_flow="row wrap")
    return ipywidgets.VBox([*controls, ipywidgets.Box(list(boxes.values()), layout=wrap)])


def difference_image(after: np.ndarray, before: np.ndarray, limit: int = 100) -> np.ndarray:
    """Signed difference in diverging colours: blue darker, white unchanged, red brighter.

    Args:
        after: uint8 (H, W).
        before: uint8 (H, W).
        limit: grey levels at which the colours end.

    Returns:
        uint8 (H, W, 3).
    """
    signed = after.astype(np.float64) - before.astype(np.float64)
    colours = mpl.colormaps["RdBu_r"](np.clip(signed / limit, -1, 1) / 2 + 0.5)
    return np.round(255 * colours[..., :3]).astype(np.uint8)
