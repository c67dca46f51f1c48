"""Multi-crop: two global and several local views of a pair, with blur and solarisation."""

from typing import NamedTuple

import torch
from torch import Tensor

from ccl.views.augment import augment
from ccl.views.batch import Batch
from ccl.views.options import CropOptions, Range


class Crops(NamedTuple):
    """Crops of N pairs, float32 in [0, 1].

    Attributes:
        global_crops: (2N, 1, H, W); N global crops 1, then N global crops 2, the latter each from
            the other source of its pair.
        local_crops: (L N, 1, h, w) in L blocks of N; the first half from the first sources.
    """

    global_crops: Tensor
    local_crops: Tensor


def multi_crop(
    batch: Batch, swapped: Tensor, options: CropOptions, generator: torch.Generator
) -> Crops:
    """Random crops of a batch of pairs.

    One global crop and half of the local crops are cut from `a`, the others from `b`: CF-DINO where
    b is the counterfactual, DINO where a and b are one image. The two global crops are blurred and
    solarised unlike each other, so which of them is cut from which source has to be left to chance:
    else blur and solarisation would tell real images from counterfactuals.

    Args:
        batch: sources 'a' and 'b', uint8 (N, H, W).
        swapped: bool (N,), on the CPU; true where global crop 1 is cut from `b`.
        options: which crops.
        generator: CPU generator that all other randomness comes from.

    Source:
        Roschewitz et al. 2025, section on CF-DINO, https://arxiv.org/abs/2409.10365; crops of
        Caron et al., SwAV, NeurIPS 2020, https://arxiv.org/abs/2006.09882
    """
    a, b = batch["a"], batch["b"]
    pairs, half = len(a), options.local_crops // 2
    b_first = swapped.to(a.device, non_blocking=True)[:, None, None]
    globals_of = torch.cat([torch.where(b_first, b, a), torch.where(b_first, a, b)])  # (2N, H, W)
    large = augment(globals_of, options.global_crop, generator, options.global_size)
    sources = torch.cat([a.repeat(half, 1, 1), b.repeat(half, 1, 1)])  # (L N, H, W)
    small = augment(sources, options.local_crop, generator, options.local_size)
    first, second, local = (
        torch.tensor([blur, solarize])
        for blur, solarize in zip(
            options.blur_probability, options.solarize_probability, strict=True
        )
    )
    of_large = torch.stack([first, second]).repeat_interleave(pairs, 0)  # (2N, 2)
    return Crops(
        _blur_and_solarize(large, of_large, options.blur_sigma, generator),
        _blur_and_solarize(small, local.expand(len(small), 2), options.blur_sigma, generator),
    )


def _blur_and_solarize(
    view: Tensor, probability: Tensor, sigma: Range, generator: torch.Generator
) -> Tensor:
    """Applies either part with its probability, (n, 2), to each view; `view` is overwritten."""
    n = len(view)
    chosen = torch.rand(n, 2, generator=generator) < probability
    sigmas = sigma[0] + (sigma[1] - sigma[0]) * torch.rand(n, generator=generator)
    blurred, solarized = (torch.nonzero(column).flatten() for column in chosen.T)
    if len(blurred):
        rows = blurred.to(view.device, non_blocking=True)
        sigmas = sigmas[blurred].to(view.device, non_blocking=True)
        view[rows] = gaussian_blur(view[rows], sigmas)
    if len(solarized):
        rows = solarized.to(view.device, non_blocking=True)
        view[rows] = torch.where(view[rows] >= 0.5, 1 - view[rows], view[rows])
    return view


def gaussian_blur(view: Tensor, sigma: Tensor) -> Tensor:
    """Views (n, 1, H, W), each blurred by a Gaussian of sigma (n,) > 0 pixels.

    At the border, the weights inside are scaled to sum 1. Two products with a matrix of weights per
    view: a convolution would need one kernel size for all, and its groups are slow.
    """
    down, across = (_blur_weights(side, sigma) for side in view.shape[2:])
    return (down @ view[:, 0] @ across.mT).unsqueeze(1)


def _blur_weights(pixels: int, sigma: Tensor) -> Tensor:
    """(n, pixels, pixels); row i holds the weights that make pixel i, which sum to 1."""
    place = torch.arange(pixels, device=sigma.device)
    squared = (place[:, None] - place[None, :]).square()  # (pixels, pixels)
    exponent = -squared / (2 * sigma.square()[:, None, None])
    # Weights below e^-20 change nothing, and as denormal numbers they cost 20 times the time.
    return torch.softmax(exponent.masked_fill(exponent < -20, float("-inf")), dim=2)
