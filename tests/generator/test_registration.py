import numpy as np
import pytest
import torch

from ccl.generator.generator import save
from ccl.generator.hvae import HVAE
from ccl.generator.images import ImageArrays
from ccl.generator.pixel_map import PixelMap
from ccl.generator.registration import Registration, mean_shapes
from companion.experiments.generator import load, train
from tests.generator.conftest import SMALL

FRAME = (40, 32)
ROWS, COLUMNS = np.mgrid[: FRAME[0], : FRAME[1]]


def disc(row: float, column: float, radius: float = 9.0) -> np.ndarray:
    """A bright disc with a soft edge, (H, W) in [0, 1]."""
    distance = np.hypot(ROWS - row, COLUMNS - column)
    return 1 / (1 + np.exp(distance - radius))


MEANS = np.stack([disc(20, 16), disc(22, 15, 10.5), disc(19, 17, 8)])


def registered(common: int = 0) -> Registration:
    made = Registration("sex", len(MEANS), FRAME)
    made.calibrate(MEANS, common)
    return made


def sex(*codes: int) -> dict[str, torch.Tensor]:
    return {"sex": torch.tensor(codes)}


def as_batch(*images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).float()[:, None]


@pytest.mark.parametrize("common", [0, 2])
def test_mean_images_take_each_others_shape(common):
    made, everyone = registered(common), sex(*range(len(MEANS)))
    before = np.abs(MEANS - MEANS[common]).mean()
    to = made.to_common(as_batch(*MEANS), everyone)[:, 0].numpy()
    assert np.abs(to - MEANS[common]).mean() < before / 4
    back = made.from_common(as_batch(*[MEANS[common]] * 3), everyone)[:, 0].numpy()
    assert np.abs(back - MEANS).mean() < before / 4


def test_what_the_warp_was_not_measured_on_moves_with_the_shape():
    dot = disc(20, 7, 2)  # on the left edge of the common disc
    moved = registered().from_common(as_batch(dot), sex(1))[0, 0].numpy()
    row, column = ((moved * at).sum() / moved.sum() for at in (ROWS, COLUMNS))
    assert column < 6  # the other disc's edge lies at 4.5
    assert row > 20


def test_the_commonest_value_stays_as_it_is():
    x = torch.rand(2, 1, *FRAME)
    made = registered(common=1)
    torch.testing.assert_close(made.to_common(x, sex(1, 1)), x)
    torch.testing.assert_close(made.from_common(x, sex(1, 1)), x)


def test_none_is_the_identity():
    x, made = torch.rand(2, 1, *FRAME), Registration(None, 1, FRAME)
    assert made.from_common(made.to_common(x, {}), {}) is x
    assert not made.state_dict()  # weights of before can be opened


def test_images_without_the_parent_are_not_registered():
    options = SMALL.model_copy(update={"registered": "sex"})
    assert HVAE(options, {"scanner": 2}, 32, 32).registration.parent is None
    assert HVAE(options, {"scanner": 2, "sex": 2}, 32, 32).registration.parent == "sex"


def test_the_mean_of_a_value_is_not_that_of_the_scanner_that_sees_it_most():
    grey = {("A", "F"): 40, ("A", "M"): 60, ("B", "F"): 140, ("B", "M"): 160}
    images = {("A", "F"): 1, ("A", "M"): 3, ("B", "F"): 3, ("B", "M"): 1}
    drawn = [pair for pair, count in images.items() for _ in range(count)]
    scanner, sexes = (np.array([k.index(p[i]) for p in drawn]) for i, k in ((0, "AB"), (1, "FM")))
    source = ImageArrays(
        np.stack([np.full(FRAME, grey[pair], np.uint8) for pair in drawn]),
        {"scanner": (("A", "B"), scanner), "sex": (("F", "M"), sexes)},
    )
    plain = PixelMap("none", 2, FRAME)
    means = mean_shapes(source, np.arange(8), sexes, ("F", "M"), plain)
    np.testing.assert_allclose(255 * means[:, 0, 0], [90, 110], atol=1e-3)
    with pytest.raises(ValueError, match="'M' has no training image"):
        mean_shapes(source, np.flatnonzero(sexes == 0), np.zeros(4), ("F", "M"), plain)


def test_a_trained_generator_keeps_its_registration(phantom, options, tmp_path):
    hvae = options.hvae.model_copy(update={"registered": "sex"})
    brief = options.model_copy(update={"hvae": hvae, "max_steps": 1, "epochs": 1})
    made, _ = train(phantom, brief, tmp_path)
    warps = made.hvae.registration
    still = [torch.equal(grid, grid.flip(0)) for grid in (warps.to_grid, warps.from_grid)]
    assert still == [False, False]
    save(made, tmp_path)
    torch.testing.assert_close(load(tmp_path).hvae.registration.to_grid, warps.to_grid)
