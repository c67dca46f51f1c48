import pytest
import torch

from ccl.views.masks import block_masks
from ccl.views.options import MaskOptions


def masks(images=200, grid=(8, 8), seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return block_masks(images, grid, MaskOptions(**options), generator)


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_probability_reaches_the_share_of_masked_images(probability):
    masked = masks(probability=probability, ratio=(0.2, 0.4)).any(1)
    assert masked.sum() == 200 * probability


def test_ratios_spread_over_their_range_and_never_exceed_it():
    share = masks(1000, probability=1.0).float().mean(1)
    assert share.max() <= 0.5
    assert share.mean() == pytest.approx(0.3, abs=0.03)
    assert share.quantile(0.1) < 0.15
    assert share.quantile(0.9) > 0.42


@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_a_fixed_ratio_is_nearly_reached(ratio):
    share = masks(300, probability=1.0, ratio=(ratio, ratio)).float().mean(1)
    assert share.max() <= ratio
    assert share.mean() > 0.9 * ratio


def test_masks_are_blocks():
    """Masked patches have more masked neighbours than scattered ones would have."""
    found = masks(500, probability=1.0, ratio=(0.3, 0.3)).view(-1, 8, 8)
    both = (found[:, 1:] & found[:, :-1]).sum() / found[:, 1:].sum()
    assert both > 0.6  # scattered: 0.3
