"""The landing page's picture: radiographs that turn from one scanner into another, as HTML."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from companion.book.widgets.page import component, png_base64


class Turning(NamedTuple):
    """A patient on every scanner.

    Attributes:
        own: position of the scanner that took the image.
        images: uint8 (K, H, W), the real image at `own`, counterfactuals elsewhere.
    """

    own: int
    images: np.ndarray


def hero_html(patients: Sequence[Turning], scanners: Sequence[str]) -> str:
    """The picture, its sentence and its three buttons, as HTML that loads nothing.

    Args:
        patients: at least one; all images of one size.
        scanners: their K names.
    """
    _, height, width = patients[0].images.shape
    items = [
        {
            "own": own,
            "sprite": "data:image/png;base64," + png_base64(np.concatenate(images, axis=1)),
        }
        for own, images in patients
    ]
    data = {"width": width, "height": height, "scanners": list(scanners), "items": items}
    return component(
        "hero.html",
        data,
        styles=["widget.css"],
        scripts=["elements.js", "images.js", "hero.js"],
        render="renderHero",
    )
