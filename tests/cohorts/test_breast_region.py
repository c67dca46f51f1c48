"""The breast is what stays; markers and plates go."""

import numpy as np
import pytest

from companion.cohorts.errors import ImageError
from companion.cohorts.fakes.pictures import LABEL_PLATE, breast
from companion.cohorts.importing.breast_region import breast_region, without_background


def _slow_region(grey: np.ndarray) -> np.ndarray:
    """The largest connected bright part, by flooding from every pixel."""
    left = {(y, x) for y, x in zip(*np.nonzero(grey > 5), strict=True)}
    largest: set[tuple[int, int]] = set()
    while left:
        part, todo = set(), [left.pop()]
        while todo:
            y, x = todo.pop()
            part.add((y, x))
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if near in left:
                    left.remove(near)
                    todo.append(near)
        largest = max(largest, part, key=len)
    region = np.zeros(grey.shape, bool)
    region[tuple(zip(*largest, strict=True))] = True
    return region


def test_the_largest_bright_part_stays() -> None:
    rng = np.random.default_rng(0)
    picture = breast(rng, 2, 1.0).astype(np.float32)
    np.testing.assert_array_equal(breast_region(picture), _slow_region(picture))
    clean = without_background(picture)
    assert clean[LABEL_PLATE].max() == 0 < picture[LABEL_PLATE].max()
    inside = breast_region(picture)
    np.testing.assert_array_equal(clean[inside], picture[inside])
    assert clean[~inside].max() == 0


def test_nothing_but_black() -> None:
    with pytest.raises(ImageError, match="no breast"):
        breast_region(np.full((4, 4), 5.0))
