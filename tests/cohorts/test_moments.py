"""Streamed moments are the plain ones, and are streamed."""

import numpy as np
import pytest

from ccl.generator import pixel_moments as moments
from ccl.generator.pixel_moments import grey_spread, pixel_spread


@pytest.fixture
def images() -> np.ndarray:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (40, 1, 1))
    return np.clip(levels + rng.integers(-20, 20, (40, 5, 3)), 0, 255).astype(np.uint8)


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(1).permutation(40)[:23]


@pytest.mark.parametrize("chunk", [1, 7, 256])
def test_are_numpys(chunk, images, rows, monkeypatch):
    monkeypatch.setattr(moments, "CHUNK", chunk)
    mean, spread = pixel_spread(images, rows)
    np.testing.assert_allclose(mean, images[rows].mean(0), rtol=1e-12)
    np.testing.assert_allclose(spread, images[rows].std(0), rtol=1e-9)
    np.testing.assert_allclose(grey_spread(images, rows), (images[rows].mean(), images[rows].std()))


def test_white_images_do_not_overflow() -> None:
    white = np.full((300, 4, 4), 255, dtype=np.uint8)
    assert grey_spread(white, np.arange(300)) == (255.0, 0.0)


def test_few_images_are_in_memory_at_once(images: np.ndarray) -> None:
    at_once = []

    class Counted(np.ndarray):
        def __getitem__(self, rows: np.ndarray) -> np.ndarray:
            at_once.append(len(rows))
            return images[rows % len(images)]

    pixel_spread(images.view(Counted), np.arange(1000))
    assert max(at_once) == moments.CHUNK
    assert sum(at_once) == 1000
