"""A fixed map per scanner between its images and those of an average scanner, pixel by pixel.

What a scanner does to the same pixels of every image (letters, grids, vignettes, brightness) need
not be learned: the means and spreads of its training images show it. The predicted image becomes

    mu := m_s + r_s (f(z, pa) - m),    with the encoder seeing  (x - m_s) / r_s + m,

where m_s is the scanner's mean image, m their mean over scanners, and r_s its spread over the
scanners' geometric mean spread. The hierarchical VAE f explains what is left. So its latents have
little reason to carry the scanner, which abduction would take into the counterfactual.

The line that matches mean and spread is the optimal transport between two Gaussians (Peyre and
Cuturi 2019, https://arxiv.org/abs/1803.00567, remark 2.30); alone, it is the baseline
"pixel regression" of `companion.quality.gold_error`.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from ccl.generator.hvae_options import MapKind

SMALLEST_SPREAD = 4 / 255  # two grey levels of 8 bits, for x in [-1, 1]
LARGEST_RATIO = 2.0  # of spreads, either way: where little varies, ratios say little


class PixelMap(nn.Module):
    """The map to the average one of some `scanners` and back, for images in [-1, 1] of a frame.

    Args:
        kind: 'none' leaves images as they are (the paper); 'mean' moves the mean image; 'line'
            also stretches to the spread.
    """

    mean: Tensor  # (S, 1, H, W) m_s
    average: Tensor  # (1, H, W) m
    ratio: Tensor  # (S, 1, H, W) r_s

    def __init__(self, kind: MapKind, scanners: int, frame: tuple[int, int]) -> None:
        super().__init__()
        self.kind = kind
        if kind != "none":
            self.register_buffer("mean", torch.zeros(scanners, 1, *frame))
            self.register_buffer("average", torch.zeros(1, *frame))
            self.register_buffer("ratio", torch.ones(scanners, 1, *frame))

    def to_average(self, x: Tensor, parents: Mapping[str, Tensor]) -> Tensor:
        """Images (N, 1, H, W) of the parents' scanners as the average scanner's."""
        if self.kind == "none":
            return x
        mean, ratio = self._of(parents)
        return (x - mean) / ratio + self.average

    def from_average(self, y: Tensor, parents: Mapping[str, Tensor]) -> Tensor:
        """The inverse of `to_average`."""
        if self.kind == "none":
            return y
        mean, ratio = self._of(parents)
        return (y - self.average) * ratio + mean

    def _of(self, parents: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return self.mean[parents["scanner"]], self.ratio[parents["scanner"]]

    def calibrate(self, moments: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """Sets the map; of 'none' it asks for no moments.

        They are mean and spread of every pixel (H, W) of each scanner's training images, in grey
        levels of 255, in the order of the scanners' codes.
        """
        if self.kind == "none":
            return
        mean, spread = (torch.from_numpy(np.stack(x)[:, None]) for x in zip(*moments, strict=True))
        self.mean.copy_(mean / 127.5 - 1)
        self.average.copy_(self.mean.mean(0))
        if self.kind == "line":
            log_spread = (spread / 127.5).clamp(min=SMALLEST_SPREAD).log()
            ratio = (log_spread - log_spread.mean(0)).exp()
            self.ratio.copy_(ratio.clamp(1 / LARGEST_RATIO, LARGEST_RATIO))
