"""The pixel noise of the image mechanism: how x departs from its mean image mu(z, pa).

'fixed' is the paper's: x = mu + sigma u with one sigma, so that a counterfactual carries the noise
over as it is. 'scanner' gives each scanner noise of its own. Of each scanner and grey level the
distribution F of x - mu is stored; the exogenous u is the normal score of the residual's rank,

    u = Phi^-1(F(x - mu | scanner, mu)),   x' = mu' + F^-1(Phi(u) | scanner', mu'),

which is the monotone transport from one scanner's noise to the other's. Amount, skewness and the
clipping of black follow the target. A grey level of 8 bits leaves the rank open within half a
level, and where black is clipped, by much: there it is drawn, by a hash of the image, so that the
same image always has the same noise.

Source of the fixed scale: De Sousa Ribeiro et al. 2023, https://arxiv.org/abs/2306.15764. Ranks as
exogenous noise: Pearl, Causality (2009), section 7.1, for a monotone mechanism.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from ccl.generator.hvae_options import NoiseKind

GREY_BINS = 64  # levels of the mean image over which the noise may differ
RANKS = 65  # quantiles that are stored of each distribution
HALF_LEVEL = 1 / 255  # half of a grey level of 8 bits, for x in [-1, 1]
BORROWED = 32  # pixels that a scanner's noise over all levels weighs in each of its levels
_STEP = HALF_LEVEL / 2  # width of a histogram's bin


class PixelNoise(nn.Module):
    """Abduction and prediction of u, 'fixed' or by 'scanner', for images in [-1, 1].

    Until 'scanner' is calibrated, its noise has the scale of 'fixed' as well.
    """

    quantiles: Tensor  # (scanners, GREY_BINS, RANKS) residuals at the ranks (i + 1/2) / RANKS

    def __init__(self, kind: NoiseKind, scale: float, scanners: int) -> None:
        super().__init__()
        self.kind, self.scale = kind, scale
        if kind == "scanner":
            normal = scale * torch.special.ndtri(_levels())
            table = normal.expand(scanners, GREY_BINS, RANKS).float().clone()
            self.register_buffer("quantiles", table)

    def abduct(self, x: Tensor, mu: Tensor, parents: Mapping[str, Tensor]) -> Tensor:
        """u (N, 1, H, W) of images x with mean images mu, both (N, 1, H, W)."""
        if self.kind == "fixed":
            return (x - mu) / self.scale
        cell = _cell(mu, parents)
        low, high = (self._rank(x - mu + half, cell) for half in (-HALF_LEVEL, HALF_LEVEL))
        rank = low + (high - low) * _hash_uniform(x)
        return torch.special.ndtri(rank.clamp(1e-4, 1 - 1e-4)).to(x.dtype)

    def predict(self, u: Tensor, mu: Tensor, parents: Mapping[str, Tensor]) -> Tensor:
        """x (N, 1, H, W), clipped to [-1, 1]."""
        if self.kind == "fixed":
            return (mu + self.scale * u).clamp(-1, 1)
        place = (torch.special.ndtr(u) * RANKS - 0.5).clamp(0, RANKS - 1)
        below = place.long().clamp(max=RANKS - 2)
        start = _cell(mu, parents) * RANKS + below
        flat = self.quantiles.flatten()
        residual = torch.lerp(flat[start], flat[start + 1], place - below)
        return (mu + residual).clamp(-1, 1)

    def _rank(self, residual: Tensor, cell: Tensor) -> Tensor:
        """F(residual), float64 in [0, 1], linear between the quantiles of the pixel's cell."""
        # All cells in one sorted list: each is moved to its own range, wider than any residual.
        offset = 8 * torch.arange(self.quantiles[..., 0].numel(), device=cell.device)
        sorted_ = (self.quantiles.flatten(0, 1).double() + offset[:, None]).flatten()
        shifted = residual.double() + 8 * cell
        above = torch.searchsorted(sorted_, shifted.contiguous())
        inside = (above - cell * RANKS).clamp(1, RANKS - 1)
        left, right = (sorted_[cell * RANKS + inside - back] for back in (1, 0))
        share = (shifted - left) / (right - left).clamp(min=1e-9)
        return (inside - 0.5 + share.clamp(-0.5, 1.5)) / RANKS

    @torch.no_grad()
    def calibrate(self, images: Iterable[tuple[Tensor, Tensor, Mapping[str, Tensor]]]) -> None:
        """Measures the distributions; 'fixed' has none. Memory does not grow with the number.

        A scanner that no image is of keeps what it has.

        Args:
            images: batches of real images x, their mean images mu, and their parents.
        """
        if self.kind == "fixed":
            return
        bins = round(4 / _STEP) + 1
        shape, device = (*self.quantiles.shape[:2], bins), self.quantiles.device
        counts = torch.zeros(shape, dtype=torch.float64, device=device)
        for x, mu, parents in images:
            place = ((x - mu + 2) / _STEP).round().long().clamp(0, bins - 1)
            cell = (_cell(mu, parents) * bins + place).flatten()
            counts.view(-1).index_add_(0, cell, torch.ones_like(cell, dtype=torch.float64))
        counts = counts.cpu()  # few numbers; the rest is the same on every device
        # Where a scanner has few pixels of a grey level, its noise over all levels stands in.
        overall = counts.sum(1, keepdim=True)
        seen = overall.sum(2, keepdim=True)
        counts += BORROWED * overall / seen.clamp(min=1)
        self.quantiles.copy_(torch.where(seen > 0, _quantiles(counts), self.quantiles.cpu()))


def _levels() -> Tensor:
    return (torch.arange(RANKS, dtype=torch.float64) + 0.5) / RANKS


def _quantiles(counts: Tensor) -> Tensor:
    """Residuals (..., RANKS) at the ranks, of histograms (..., bins) over [-2, 2]."""
    reached = counts.cumsum(-1)
    thresholds = _levels() * reached[..., -1:]
    place = torch.searchsorted(reached, thresholds.contiguous())
    return place.double() * _STEP - 2


def _cell(mu: Tensor, parents: Mapping[str, Tensor]) -> Tensor:
    """Index of each pixel's scanner and grey level, int64 like mu (N, 1, H, W)."""
    level = ((mu + 1) / 2 * GREY_BINS).long().clamp(0, GREY_BINS - 1)
    if "scanner" not in parents:
        return level
    return parents["scanner"][:, None, None, None] * GREY_BINS + level


def _hash_uniform(x: Tensor) -> Tensor:
    """Numbers in [0, 1) like x (N, 1, H, W), a hash of each image and the pixel's place."""
    place = torch.arange(1, x[0].numel() + 1, device=x.device)
    grey = ((x.flatten(1) + 1) * 127.5).round().long()
    image = (grey * (place * 40503 % 65521)).sum(1, keepdim=True)
    mixed = (image * 2654435761 + place * 2246822519) & 0xFFFFFFFF
    for shift, factor in ((15, 2246822519), (13, 3266489917), (16, 668265263)):
        mixed = ((mixed ^ (mixed >> shift)) * factor) & 0xFFFFFFFF
    return (mixed.double() / 2**32).view_as(x)
