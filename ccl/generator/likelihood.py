"""The pixel likelihood p(x | z, pa), and the terms of the evidence lower bound."""

from dataclasses import dataclass

import torch
from torch import Tensor


def discretised_gaussian_log_prob(x: Tensor, loc: Tensor, scale: float) -> Tensor:
    """log of the Gaussian mass of x's grey level, elementwise, in nats.

    Args:
        x: images in [-1, 1] on the grid of 256 grey levels.
        loc: means, same shape.
        scale: standard deviation sigma.

    Source: the likelihood `fixed_dgauss` of Ribeiro et al. 2023; computed through log-CDFs here, so
    that grey levels many sigma away keep their gradient.
    """
    half = 1 / 255
    low = torch.where(x < -1 + half, -torch.inf, (x - half - loc) / scale)
    high = torch.where(x > 1 - half, torch.inf, (x + half - loc) / scale)
    mirrored = low > 0  # log Phi keeps its precision in the lower tail only
    low, high = torch.where(mirrored, -high, low), torch.where(mirrored, -low, high)
    log_high, log_low = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    return log_high + torch.log1p(-torch.exp(log_low - log_high).clamp(max=1 - 1e-7))


@dataclass(frozen=True)
class Elbo:
    """Terms of the evidence lower bound, nats per pixel averaged over the batch.

    Attributes:
        nll: -log p(x | z, pa), scalar.
        kl: KL(q || p), the sum over all latents, scalar.
        kl_by_resolution: resolution to its share of `kl`.
    """

    nll: Tensor
    kl: Tensor
    kl_by_resolution: dict[int, Tensor]
