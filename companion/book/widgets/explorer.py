"""The explorer: choose a patient and a target, see the counterfactual, its change and its truth.

`explorer_html` makes a self-contained HTML component that moves without a kernel (images, weights,
style and script are inline, nothing is loaded); `companion.book.widgets.jupyter` is for Jupyter.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from companion.book.widgets.live import Live
from companion.book.widgets.page import asset, filled, png_base64, script_json

Target = tuple[str, str]  # (scanner, sex); sex is '' where the cohort does not know it
SCRIPTS = (
    "network.js",
    "draws.js",
    "hvae.js",
    "elements.js",
    "images.js",
    "painting.js",
    "own_images.js",
    "explorer.js",
)


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


def explorer_html(
    items: Sequence[ExplorerItem], live: Live | None = None, *, difference_limit: int = 100
) -> str:
    """The explorer as self-contained HTML, for a static page.

    Args:
        items: the patients on offer; all images of one size.
        live: the generator that the page runs; without, it shows the stored counterfactuals.
        difference_limit: grey levels (of 255) at which the difference colours end.

    Returns:
        An HTML fragment; several may stand on one page.

    Raises:
        ValueError: no items, an image of another size or type, or nothing to choose.
    """
    text = script_json(explorer_data(items, live, difference_limit))
    parts = {
        "css": asset("widget.css"),
        "js": "\n".join(map(asset, (*SCRIPTS, "explorer_start.js"))),
        "weights": base64.b64encode(live.weights).decode("ascii") if live else "",
        "key": hashlib.sha256(text.encode()).hexdigest()[:12],
        "data": text,  # last: whatever stands in it is not looked at again
    }
    return filled("explorer.html", parts)


def explorer_data(
    items: Sequence[ExplorerItem], live: Live | None, difference_limit: int
) -> dict[str, Any]:
    """What the script reads, see explorer.js."""
    height, width = _check(items, live)
    return {
        "width": width,
        "height": height,
        "limit": difference_limit,
        "values": live.description["parents"] if live else _targets(items),
        "generator": live.description if live else None,
        "items": [_item_data(item) for item in items],
    }


def _check(items: Sequence[ExplorerItem], live: Live | None) -> tuple[int, int]:
    """Height and width that all images share."""
    if not items:
        raise ValueError("the explorer needs at least one item")
    shape = items[0].real.shape
    for item in items:
        if not item.counterfactuals and not live:
            raise ValueError(f"explorer item '{item.patient}' has no counterfactual to show")
        for image in (item.real, *item.counterfactuals.values(), *item.truths.values()):
            if image.dtype != np.uint8 or image.ndim != 2 or image.shape != shape:
                raise ValueError(
                    f"explorer item '{item.patient}': expected uint8 {shape} images, "
                    f"got {image.dtype} {image.shape}"
                )
    return int(shape[0]), int(shape[1])


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
        "sprite": "data:image/png;base64," + png_base64(np.concatenate(images, axis=1)),
        "counterfactuals": {_key(t): 1 + i for i, t in enumerate(item.counterfactuals)},
        "truths": {_key(t): after + i for i, t in enumerate(item.truths)},
    }


def _key(target: Target) -> str:
    """A target as JavaScript's JSON.stringify([scanner, sex]) writes it."""
    return json.dumps(list(target), separators=(",", ":"), ensure_ascii=False)
