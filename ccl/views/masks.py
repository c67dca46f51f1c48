"""Block-wise masks of patches, for iBOT."""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ccl.views.options import MaskOptions

SMALLEST_BLOCK = 4  # patches, DINO-v2's
ASPECT = (0.3, 1 / 0.3)  # height / width of a block, in patches
ATTEMPTS = 20  # blocks that are tried per image


def block_masks(
    images: int, grid: tuple[int, int], options: MaskOptions, generator: torch.Generator
) -> Tensor:
    """Random masks made of rectangles of patches.

    As in DINO-v2, the number of masked images is fixed and their ratios are spread evenly over the
    range; rectangles are added until an image has its number of masked patches, and never more.
    An image may end with a few less, where no rectangle that was tried fitted.

    Args:
        images: B.
        grid: (rows, columns) of patches per image.
        options: how many, how much.
        generator: CPU generator that all randomness comes from.

    Returns:
        bool (B, rows * columns), on the CPU; true is masked.

    Source:
        Bao et al., BEiT, ICLR 2022, algorithm 1, https://arxiv.org/abs/2106.08254; Oquab et al.,
        DINOv2, TMLR 2024, https://arxiv.org/abs/2304.07193
    """
    masks = torch.zeros(images, *grid, dtype=torch.bool)
    counts = _masked_counts(images, math.prod(grid), options, generator)  # (B,)
    # Each image's next block depends on its last ones, so attempts are a loop; images are not.
    for _ in range(ATTEMPTS):
        room = counts - masks.sum((1, 2))
        blocks = _blocks(room, grid, generator)
        fresh = (blocks & ~masks).sum((1, 2))
        masks |= blocks & ((fresh > 0) & (fresh <= room))[:, None, None]
    return masks.flatten(1)


class Masked(NamedTuple):
    """Masks where the images are, and which patches they hide.

    Which these are is found on the CPU, where the masks are drawn: to select by the masks on a GPU,
    the host would have to wait for their number.
    """

    hidden: Tensor  # bool (B, P)
    image: Tensor  # int64 (M,), of each masked patch, in the order of `masks.nonzero()`
    place: Tensor  # int64 (M,)

    @classmethod
    def on(cls, device: torch.device, masks: Tensor) -> Self:
        """Of masks, bool (B, P), on the CPU."""
        parts = masks, *masks.nonzero(as_tuple=True)
        return cls(*(part.to(device, non_blocking=True) for part in parts))

    def of(self, patch: Tensor) -> Tensor:
        """The masked ones, (M, ...), of patches (B, P, ...)."""
        return patch[self.image, self.place]


def _masked_counts(
    images: int, patches: int, options: MaskOptions, generator: torch.Generator
) -> Tensor:
    """Number of patches (B,) to mask per image; 0 in images that stay whole."""
    masked = int(images * options.probability)
    low, high = options.ratio
    even = (torch.arange(masked) + torch.rand(masked, generator=generator)) / max(masked, 1)
    counts = torch.zeros(images, dtype=torch.long)
    chosen = torch.randperm(images, generator=generator)[:masked]
    counts[chosen] = (patches * (low + (high - low) * even)).long()
    return counts


def _blocks(room: Tensor, grid: tuple[int, int], generator: torch.Generator) -> Tensor:
    """One rectangle per image, bool (B, rows, columns), of at most about `room` patches."""
    area, shape, *place = torch.rand(4, len(room), generator=generator)
    smallest = room.clamp(max=SMALLEST_BLOCK)
    area = smallest + (room - smallest) * area  # (B,)
    low, high = (math.log(limit) for limit in ASPECT)
    aspect = (low + (high - low) * shape).exp()
    sides = (area * aspect).sqrt(), (area / aspect).sqrt()
    inside = []
    for side, at, length in zip(sides, place, grid, strict=True):
        side = side.round().clamp(max=length)
        start = ((length - side + 1) * at).floor()
        position = torch.arange(length)
        inside.append((position >= start[:, None]) & (position < (start + side)[:, None]))
    return inside[0][:, :, None] & inside[1][:, None, :]
