"""Similarity of partners on encoders whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ccl.pairs import Pairs
from ccl.views.options import AugmentOptions
from companion.evaluation import pair_similarity as module
from companion.evaluation.pair_similarity import pair_similarity

UNCHANGED = AugmentOptions(
    crop_probability=0,
    rotation_probability=0,
    horizontal_flip_probability=0,
    vertical_flip_probability=0,
    intensity_probability=0,
    sharpness_probability=0,
    erase_probability=0,
)
N = 60
ROWS = np.arange(N)
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 8, 8), np.uint8)


class Pixels(torch.nn.Module):
    """Features are the pixels, plus a large constant that all images share."""

    def __init__(self) -> None:
        super().__init__()
        self.constant = torch.nn.Parameter(torch.tensor(100.0))

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        return views.flatten(1) + self.constant


def similarity(strategy, bank_images: np.ndarray | None = None, views=UNCHANGED) -> dict:
    bank = None
    if bank_images is not None:
        bank = SimpleNamespace(images=np.stack([bank_images] * 2, 1), position=ROWS)
    pairs = Pairs(strategy, IMAGES, bank)
    return pair_similarity(Pixels(), pairs, ROWS, ROWS, views)  # type: ignore[arg-type]


def test_the_same_view_twice_is_at_one() -> None:
    assert similarity("standard")["value"] == pytest.approx(1, abs=1e-5)


def test_views_of_unlike_images_are_at_zero_although_their_features_point_one_way() -> None:
    found = similarity("counterfactual", IMAGES[::-1].copy())
    assert found["value"] == pytest.approx(0, abs=0.1)
    assert found["ci_low"] < 0 < found["ci_high"]


def test_augmentation_reaches_the_views() -> None:
    assert similarity("standard", views=AugmentOptions())["value"] < 0.9


def test_few_views_pass_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = []

    class Counting(Pixels):
        def forward(self, views: torch.Tensor) -> torch.Tensor:
            passed.append(len(views))
            return super().forward(views)

    monkeypatch.setattr(module, "BATCH_SIZE", 50, raising=False)
    pairs = Pairs("standard", IMAGES)
    found = pair_similarity(Counting(), pairs, ROWS, ROWS, UNCHANGED)  # type: ignore[arg-type]
    assert found["value"] == pytest.approx(1, abs=1e-5)
    assert passed == [50, 50, 20]
