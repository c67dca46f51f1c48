"""The decoder's blocks: prior p(z | h, pa) and posterior q(z | h, pa, x) of each latent."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ccl.generator.blocks import Block, start_at_zero
from ccl.generator.hvae_options import HVAEOptions, Stage


class AbductedLatent(NamedTuple):
    """The latent of one block as abduction found it in an image."""

    value: Tensor  # z or epsilon, (N, Z, H, W)
    is_noise: bool  # whether it is epsilon
    share: float  # alpha, `HVAEOptions.posterior_share`

    def under(self, loc: Tensor, scale: Tensor) -> Tensor:
        """z* under a prior of some mean and scale."""
        z = loc + scale * self.value if self.is_noise else self.value
        return z if self.share == 1 else self.share * z + (1 - self.share) * loc


@dataclass(frozen=True)
class Latent:
    """The latent of one stochastic block in a pass of the decoder; tensors are (N, Z, H, W)."""

    z: Tensor
    noise: Tensor  # epsilon = (z - mu_p) / sigma_p
    kl: Tensor  # KL(q || p) in nats per element; zeros when z was not inferred
    resolution: int


class DecoderBlock(nn.Module):
    """Top-down block: prior p(z | h, pa), posterior q(z | h, pa, x), then h grows by z."""

    def __init__(self, stage: Stage, options: HVAEOptions, depth: int) -> None:
        super().__init__()
        width, latent = stage.width, stage.latent_channels
        gain = depth**-0.5  # VDVAE: keeps the residual stream's scale independent of the depth
        self.latent_channels, self.resolution = latent, stage.resolution
        if latent:
            self.prior = Block(width, width + 2 * latent, stage, options, last_gain=1.0)
            self.posterior = Block(2 * width, 2 * latent, stage, options, last_gain=1.0)
            self.expand = nn.Conv2d(latent, width, 1)
            with torch.no_grad():
                self.expand.weight.mul_(gain)
            # Start at q = p = N(0, 1): no KL spike in the first steps.
            for last in (self.prior.skip, self.posterior.skip, self.posterior.expand):
                start_at_zero(last)
            start_at_zero(self.prior.expand)
        self.residual = Block(width, width, stage, options, last_gain=gain)

    def forward(
        self, h: Tensor, e: Tensor, features: Tensor | None, abducted: AbductedLatent | None
    ) -> tuple[Tensor, Latent | None]:
        """Next decoder state and the block's latent: abducted, of the posterior, or of the prior.

        Args:
            h: decoder state (N, C, H, W).
            e: parents' embedding (N, E).
            features: encoder features (N, C, H, W) of x, for inference.
            abducted: the latent of an image, for prediction.
        """
        latent = None
        if self.latent_channels:
            prior = self.prior(h, e)  # (N, C + 2Z, H, W)
            shift, p_loc, p_log_scale = prior.split(
                [h.shape[1], self.latent_channels, self.latent_channels], dim=1
            )
            p_loc, p_log_scale = p_loc.float(), p_log_scale.float()
            z, kl = self._draw(h, e, features, abducted, p_loc, p_log_scale)
            latent = Latent(z, (z - p_loc) * torch.exp(-p_log_scale), kl, self.resolution)
            h = h + shift + self.expand(z.to(h.dtype))
        return self.residual(h, e), latent

    def _draw(
        self,
        h: Tensor,
        e: Tensor,
        features: Tensor | None,
        abducted: AbductedLatent | None,
        p_loc: Tensor,
        p_log_scale: Tensor,
    ) -> tuple[Tensor, Tensor]:
        if abducted is not None:
            z = abducted.under(p_loc, torch.exp(p_log_scale))
            return z, torch.zeros_like(z)
        if features is None:
            z = p_loc + torch.exp(p_log_scale) * torch.randn_like(p_loc)
            return z, torch.zeros_like(z)
        q = self.posterior(torch.cat([h, features], dim=1), e).float()  # (N, 2Z, H, W)
        # The posterior is a correction of the prior: it costs nothing where x adds nothing.
        q_loc, q_log_scale = q.chunk(2, dim=1)
        q_loc, q_log_scale = p_loc + q_loc, p_log_scale + q_log_scale
        # Training samples q; abduction takes its mean, so that a counterfactual is deterministic.
        noise = torch.randn_like(q_loc) if self.training else torch.zeros_like(q_loc)
        z = q_loc + torch.exp(q_log_scale) * noise
        return z, gaussian_kl(q_loc, q_log_scale, p_loc, p_log_scale)


def gaussian_kl(q_loc: Tensor, q_log_scale: Tensor, p_loc: Tensor, p_log_scale: Tensor) -> Tensor:
    """KL(N(q_loc, q_scale^2) || N(p_loc, p_scale^2)), elementwise, in nats."""
    ratio = torch.exp(2 * (q_log_scale - p_log_scale))
    shift = ((q_loc - p_loc) * torch.exp(-p_log_scale)) ** 2
    return 0.5 * (ratio + shift - 1) - (q_log_scale - p_log_scale)
