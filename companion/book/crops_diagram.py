"""Multi-crop drawn: which crop is cut from which image, and who sees it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from companion.book import drawing as d

GLOBAL = (0.08, 0.04, 0.84)  # upper left corner and side, as shares of the image's
LOCAL = ((0.08, 0.12, 0.3), (0.58, 0.5, 0.3), (0.52, 0.08, 0.26), (0.14, 0.58, 0.28))
SIZE = 104.0  # of an image


class Source(NamedTuple):
    """One of the two images that crops are cut from.

    Attributes:
        image: uint8 (H, W).
        name: above it.
        left: where it begins.
        colour: of its frames.
        number: of its global crop.
    """

    image: np.ndarray
    name: str
    left: float
    colour: str
    number: int


def multi_crop(real: np.ndarray, counterfactual: np.ndarray, local_crops: int) -> str:
    """CF-DINO's crops: of whom they are, and which of them teacher and student see.

    Args:
        real, counterfactual: uint8 (H, W).
        local_crops: of a pair; at most four of each image are drawn.
    """
    shown = LOCAL[: min(len(LOCAL), local_crops // 2)]
    sources = (
        Source(real, "real image x", 56, "pull", 1),
        Source(counterfactual, "counterfactual xₖ", 320, "push", 2),
    )
    title = (
        "Multi-crop in CF-DINO. One global crop and half of the local crops are cut from the real "
        "image, the others from its counterfactual. The teacher sees the two global crops, the "
        "student all crops; the student predicts the teacher's target of each other global crop."
    )
    return d.svg(
        480, 436, title, *(_cut(source, shown) for source in sources), *_schooling(len(shown))
    )


def _cut(source: Source, shown: Sequence[tuple[float, float, float]]) -> str:
    """An image with its frames, and its crops under it."""
    image, name, left, colour, number = source
    parts = [
        d.text((left + SIZE / 2, 16), name, bold=True),
        d.picture((left, 24), (SIZE, SIZE), image),
        _frame(left, GLOBAL, colour),
        *(_frame(left, frame, colour, dashed=True) for frame in shown),
    ]
    # Global crops lie outside, local ones inside: mirrored, so that lines need not cross.
    large, small = (12.0, 92.0) if number == 1 else (404.0, 320.0)
    parts += [
        d.picture((large, 152), (64, 64), _crop(image, GLOBAL)),
        d.text((large + 32, 146), f"global {number}", colour=colour, size=13),
        d.text((small + 34, 146), "local", colour=colour, size=13),
    ]
    for i, frame in enumerate(shown):
        at = (small + 36 * (i % 2), 152 + 36.0 * (i // 2))
        parts.append(d.picture(at, (30, 30), _crop(image, frame)))
    return "".join(parts)


def _frame(
    left: float, frame: tuple[float, float, float], colour: str, *, dashed: bool = False
) -> str:
    x, y, side = frame
    corner, length = (left + SIZE * x, 24 + SIZE * y), SIZE * side
    outline = f"M{corner[0]:g} {corner[1]:g}h{length:g}v{length:g}h{-length:g}z"
    return d.path(outline, colour=colour, dashed=dashed, head=False)


def _crop(image: np.ndarray, frame: tuple[float, float, float]) -> np.ndarray:
    height, width = image.shape
    x, y, side = frame
    return image[
        round(y * height) : round((y + side) * height), round(x * width) : round((x + side) * width)
    ]


def _schooling(locals_: int) -> list[str]:
    """Who sees which crops, and what is compared."""
    to_teacher, to_student = 240.0, 262.0
    below = 150 + 36 * -(-locals_ // 2)
    return [
        *(d.path(f"M{x} 222V{to_teacher:g}", colour="brand", head=False) for x in (36, 444)),
        d.path(f"M36 {to_teacher:g}H444", colour="brand", head=False),
        d.path(f"M140 {to_teacher:g}V296", colour="brand"),
        *(d.path(f"M{x} 222V{to_student:g}", head=False) for x in (52, 428)),
        *(d.path(f"M{x} {below}V{to_student:g}", head=False) for x in (125, 353)),
        d.path(f"M52 {to_student:g}H428", head=False),
        d.path(f"M340 {to_student:g}V296"),
        d.box((70, 298), (140, 48), colour="brand"),
        d.text((140, 318), "teacher", bold=True),
        d.text((140, 336), "global crops only", colour="faint", size=12),
        d.box((270, 298), (140, 48), colour="ink"),
        d.text((340, 318), "student", bold=True),
        d.text((340, 336), "all crops", colour="faint", size=12),
        d.path("M268 322H214", dashed=True),
        d.text((240, 292), "running mean", colour="faint", size=12),
        d.arrow((140, 348), (140, 384)),
        d.text((112, 370), "targets", size=12),
        d.arrow((340, 348), (340, 384)),
        d.text((376, 370), "predictions", size=12),
        d.box((60, 386), (360, 40), colour="line"),
        d.text((240, 411), "predictions for the targets of other global crops"),
    ]
