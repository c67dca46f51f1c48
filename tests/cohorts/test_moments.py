"""Streamed moments are the plain ones, and are streamed."""

import numpy as np
import pytest

from ccl.generator import pixel_moments as moments
from ccl.generator.pixel_moments import grey_spread, pixel_spread

LEVELS = np.random.default_rng(0).integers(0, 256, (40, 1, 1))
IMAGES = (LEVELS + np.random.default_rng(1).integers(-20, 20, (40, 5, 3))).clip(0, 255).astype("u1")


@pytest.mark.parametrize("chunk", [1, 7, 256])
def test_are_numpys(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "CHUNK", chunk)
    rows = np.random.default_rng(2).permutation(40)[:23]
    mean, spread = pixel_spread(IMAGES, rows)
    np.testing.assert_allclose(mean, IMAGES[rows].mean(0), rtol=1e-12)
    np.testing.assert_allclose(spread, IMAGES[rows].std(0), rtol=1e-9)
    np.testing.assert_allclose(grey_spread(IMAGES, rows), (IMAGES[rows].mean(), IMAGES[rows].std()))


def test_white_images_do_not_overflow() -> None:
    white = np.full((300, 4, 4), 255, dtype=np.uint8)
    assert grey_spread(white, np.arange(300)) == (255.0, 0.0)


def test_few_images_are_in_memory_at_once() -> None:
    at_once = []

    class Counted(np.ndarray):
        def __getitem__(self, rows: np.ndarray) -> np.ndarray:
            at_once.append(len(rows))
            return IMAGES[rows % len(IMAGES)]

    pixel_spread(IMAGES.view(Counted), np.arange(1000))
    assert max(at_once) == moments.CHUNK
    assert sum(at_once) == 1000
