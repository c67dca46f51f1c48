"""Rendering pipelines: every setting reaches its use, in the order of physics, then display."""

import numpy as np
import pytest
from scipy import ndimage

from companion.cohorts.simulation.scanners import MAMMOGRAPHS, SCANNERS, Scanner, render

SETS = [SCANNERS, MAMMOGRAPHS]
EVERY = [scanner for found in SETS for table in found.values() for scanner in table.values()]


def _scene(size: int = 64, n: int = 2) -> np.ndarray:
    noise = np.random.default_rng(0).random((n, size, size))
    smooth = ndimage.gaussian_filter(noise, (0, size / 16, size / 16))
    low, high = smooth.min(), smooth.max()
    return (0.1 + 0.8 * (smooth - low) / (high - low)).astype(np.float32)


def _field(size: int = 64, n: int = 2) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n, size, size), np.float32)


@pytest.mark.parametrize(
    "change",
    [
        {"gamma": 0.5},
        {"window": (0.2, 0.8)},
        {"blur": 1.0},
        {"local_contrast": 1.0},
        {"local_contrast": 1.0, "local_contrast_radius": 9.0},
        {"grid_amplitude": 0.05},
        {"grid_amplitude": 0.05, "grid_period": 9.0},
        {"noise": 0.05},
        {"text": "CR"},
        {"text": "CR", "text_position": (30.0, 30.0)},
    ],
    ids=lambda change: "+".join(change),
)
def test_every_setting_reaches_the_image(change: dict[str, object]) -> None:
    scene, field = _scene(), _field()
    names = list(change)
    without = {name: change[name] for name in names[:-1]}  # the last one is under test
    before = render(scene, Scanner.model_validate(without), field)
    after = render(scene, Scanner.model_validate(change), field)
    assert (before != after).any()


def test_the_neutral_scanner_only_quantises_and_display_has_its_closed_form() -> None:
    scene = _scene()
    np.testing.assert_array_equal(render(scene, Scanner(), _field()), np.rint(scene * 255))
    expected = 255 * ((scene - np.float32(0.2)) / np.float32(0.4)).clip(0, 1) ** 2
    shown = render(scene, Scanner(window=(0.2, 0.6), gamma=2.0))
    np.testing.assert_allclose(shown, expected, atol=0.51)


def test_noise_is_made_after_the_blur_and_before_the_tone_curve() -> None:
    flat, field = np.full((1, 64, 64), 0.25, np.float32), _field(n=1)
    expected = np.clip(flat + 0.02 * field, 0, 1) ** 0.5
    scanner = Scanner(noise=0.02, gamma=0.5, blur=2.0)
    shown = render(flat, scanner, field)
    np.testing.assert_allclose(shown / 255, expected, atol=0.5 / 255 + 1e-6)
    assert np.ptp(render(flat, scanner)) == 0  # left out


def test_grid_has_its_period() -> None:
    flat = np.full((1, 64, 64), 0.5, np.float32)
    shown = render(flat, Scanner(grid_amplitude=0.1, grid_period=8.0))[0].astype(float)
    assert np.ptp(shown, axis=0).max() == 0  # vertical lines
    spectrum = np.abs(np.fft.rfft(shown[0] - shown[0].mean()))
    assert spectrum.argmax() == 64 / 8


@pytest.mark.parametrize("size", [32, 96])
@pytest.mark.parametrize("name", ["Aurora", "Cirrus", "Eos"])
def test_a_scanner_looks_alike_at_every_size(size: int, name: str) -> None:
    """At the size's own resolution or 64, whichever is coarser, within a few grey levels."""
    scanner = SCANNERS["strong"][name]
    fine = render(_scene(256), scanner).astype(float)
    coarse = render(_block_mean(_scene(256), size), scanner).astype(float)
    common = np.gcd(size, 32)
    difference = _block_mean(fine, common) - _block_mean(coarse, common)
    assert np.abs(difference).mean() < 3


def _block_mean(images: np.ndarray, size: int) -> np.ndarray:
    zoomed = images.repeat(size // np.gcd(size, images.shape[1]), 1)
    zoomed = zoomed.repeat(size // np.gcd(size, images.shape[2]), 2)
    block = zoomed.shape[1] // size
    return zoomed.reshape(len(images), size, block, size, block).mean((2, 4))


@pytest.mark.parametrize("size", [32, 96])
def test_letters_come_last_and_at_their_place_only(size: int) -> None:
    black = np.zeros((1, size, size), np.float32)
    strong = {"gamma": 3.0, "blur": 2.0, "local_contrast": 2.0}
    shown = render(black, Scanner(text="CR", text_position=(4.0, 8.0), **strong))[0]
    rows, columns = np.nonzero(shown)
    pixel = size / 64
    assert rows.min() == int(4 * pixel)
    assert rows.max() < 9 * pixel
    assert columns.min() >= 8 * pixel - 1
    assert columns.max() < 15 * pixel
    # C has 7 cells, R has 10; every cell is one square reference pixel of full ink.
    assert shown.sum() / 255 == pytest.approx(17 * pixel**2, rel=0.01)


def test_images_do_not_influence_each_other_and_the_caller_s_array_is_left_alone() -> None:
    scene, field = _scene(n=3)[:, :48], _field(n=3)[:, :48]
    before = scene.copy()
    for scanner in EVERY:
        together = render(scene, scanner, field)
        np.testing.assert_array_equal(together[1:2], render(scene[1:2], scanner, field[1:2]))
    np.testing.assert_array_equal(scene, before)


@pytest.mark.parametrize("scanners", SETS, ids=["chest", "breast"])
def test_the_regimes_name_the_same_scanners_and_strong_ones_differ_more(scanners) -> None:
    assert list(scanners["strong"]) == list(scanners["mild"])
    scene = _scene()

    def spread(regime: str) -> float:
        shown = [render(scene, s).astype(float) for s in scanners[regime].values()]
        return float(np.std(shown, axis=0).mean())

    assert spread("strong") > 3 * spread("mild")
