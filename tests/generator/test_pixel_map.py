import numpy as np
import pytest
import torch

from ccl.generator.generator import save
from ccl.generator.hvae import HVAE
from ccl.generator.images import ImageArrays
from ccl.generator.pixel_map import LARGEST_RATIO, PixelMap
from ccl.generator.pixel_moments import scanner_spreads
from companion.experiments.generator import load, train
from tests.generator.conftest import SMALL

FRAME = (6, 5)
LETTER = (1, 2)


def moments() -> list[tuple[np.ndarray, np.ndarray]]:
    """Of two scanners: one dark and flat with a letter, one brighter and of twice the spread."""
    mean, spread = np.full(FRAME, 60.0), np.full(FRAME, 20.0)
    lettered, still = mean.copy(), spread.copy()
    lettered[LETTER], still[LETTER] = 255, 0
    return [(lettered, still), (mean + 80, 2 * spread)]


def scanner(*codes: int) -> dict[str, torch.Tensor]:
    return {"scanner": torch.tensor(codes)}


def calibrated(kind: str) -> PixelMap:
    made = PixelMap(kind, 2, FRAME)
    made.calibrate(moments())
    return made


@pytest.mark.parametrize("kind", ["none", "mean", "line"])
def test_back_and_forth_is_the_image(kind):
    x, parents = torch.rand(3, 1, *FRAME) * 2 - 1, scanner(0, 1, 0)
    made = calibrated(kind)
    torch.testing.assert_close(made.from_average(made.to_average(x, parents), parents), x)


def test_none_is_the_identity():
    x = torch.rand(2, 1, *FRAME)
    assert calibrated("none").to_average(x, scanner(0, 1)) is x
    assert not calibrated("none").state_dict()  # weights of before can be opened


@pytest.mark.parametrize("kind", ["mean", "line"])
def test_the_mean_image_of_one_scanner_becomes_that_of_the_other(kind):
    (dark, _), (bright, _) = moments()
    x = torch.from_numpy(dark / 127.5 - 1).float()[None, None]
    made = calibrated(kind)
    moved = made.from_average(made.to_average(x, scanner(0)), scanner(1))
    np.testing.assert_allclose((moved[0, 0] + 1) * 127.5, bright, atol=1e-3)


def test_the_line_stretches_to_the_spread_and_the_mean_does_not():
    (dark, spread), (bright, twice) = moments()
    one_up = torch.from_numpy((dark + spread) / 127.5 - 1).float()[None, None]
    stretched, moved = (
        (made.from_average(made.to_average(one_up, scanner(0)), scanner(1))[0, 0] + 1) * 127.5
        for made in (calibrated("line"), calibrated("mean"))
    )
    plain = np.ones(FRAME, dtype=bool)
    plain[LETTER] = False
    np.testing.assert_allclose(stretched[plain], (bright + twice)[plain], atol=1e-3)
    np.testing.assert_allclose(moved[plain], (bright + spread)[plain], atol=1e-3)


def test_pixels_that_hardly_vary_are_stretched_by_no_more_than_the_limit():
    ratio = calibrated("line").ratio
    assert ratio.max() <= LARGEST_RATIO
    assert ratio.min() >= 1 / LARGEST_RATIO
    assert ratio[0, 0][LETTER] == 1 / LARGEST_RATIO


def test_an_image_without_a_scanner_has_no_map():
    options = SMALL.model_copy(update={"pixel_map": "line"})
    with pytest.raises(ValueError, match=r"parents are \['sex'\]; set pixel_map to none"):
        HVAE(options, {"sex": 2}, 32, 32)


def test_a_scanner_without_an_image_has_no_map():
    source = ImageArrays(
        np.zeros((2, *FRAME), np.uint8), {"scanner": (("A", "B"), np.zeros(2, np.int64))}
    )
    with pytest.raises(ValueError, match="scanner 'B' has no training image"):
        PixelMap("mean", 2, FRAME).calibrate(scanner_spreads(source, np.arange(2)))


def test_a_trained_generator_keeps_its_map(phantom, options, tmp_path):
    hvae = options.hvae.model_copy(update={"pixel_map": "line"})
    brief = options.model_copy(update={"hvae": hvae, "max_steps": 1, "epochs": 1})
    made, _ = train(phantom, brief, tmp_path)
    means = [
        mean / 127.5 - 1
        for mean, _ in scanner_spreads(phantom, phantom.rows("train", "pretraining"))
    ]
    np.testing.assert_allclose(made.hvae.pixel_map.mean[:, 0], means, atol=1e-6)
    save(made, tmp_path)
    opened = load(tmp_path)
    torch.testing.assert_close(opened.hvae.pixel_map.ratio, made.hvae.pixel_map.ratio)
    plain, _ = train(phantom, brief.model_copy(update={"hvae": options.hvae}), tmp_path / "plain")
    x = torch.zeros(3, 1, 32, 32)
    parents = {"scanner": torch.tensor([0, 1, 2]), "sex": torch.zeros(3, dtype=torch.long)}
    assert not torch.equal(
        made.hvae._mean(made.hvae.abduct(x, parents).latents, parents),
        plain.hvae._mean(plain.hvae.abduct(x, parents).latents, parents),
    )
