"""What the HVAE is built of: residual blocks, modulated by the parents."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ccl.generator.hvae_options import HVAEOptions, Stage


def start_at_zero(module: nn.Module) -> None:
    """Zeroes every parameter of a module."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)


def group_norm(width: int, groups: int) -> nn.GroupNorm:
    """Group normalisation with the largest number of groups <= `groups` that divides `width`.

    A group has two channels at least: on a 1x1 map, one by itself would always become 0.
    """
    fitting = (g for g in range(1, groups + 1) if width % g == 0 and 2 * g <= width)
    return nn.GroupNorm(max(fitting, default=1), width)


class Block(nn.Module):
    """Residual block of a narrow middle that the parents modulate.

    'bottleneck': norm-SiLU-1x1, norm-SiLU-kxk, SiLU-1x1. 'plain': norm-SiLU-kxk, norm-SiLU-kxk.
    """

    def __init__(
        self, width_in: int, width_out: int, stage: Stage, options: HVAEOptions, *, last_gain: float
    ) -> None:
        super().__init__()
        inner = max(8, round(width_in * options.bottleneck))
        # On 1x1 maps a 3x3 kernel would read padding only.
        kernel = 3 if stage.resolution > 2 else 1
        plain = options.block == "plain"
        outer = kernel if plain else 1
        self.norm = group_norm(width_in, options.groups)
        self.reduce = nn.Conv2d(width_in, inner, outer, padding=outer // 2)
        self.inner_norm = group_norm(inner, options.groups)
        self.modulation = nn.Linear(options.embedding, 2 * inner)
        self.spatial = (
            nn.Identity()
            if plain
            else nn.Sequential(nn.Conv2d(inner, inner, kernel, padding=kernel // 2), nn.SiLU())
        )
        self.dropout = nn.Dropout(options.dropout)
        self.expand = nn.Conv2d(inner, width_out, outer, padding=outer // 2)
        self.skip = nn.Conv2d(width_in, width_out, 1) if width_in != width_out else nn.Identity()
        with torch.no_grad():
            self.expand.weight.mul_(last_gain)
            nn.init.zeros_(self.expand.bias)  # type: ignore[arg-type]

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        """(N, C_in, H, W), (N, E) -> (N, C_out, H, W)."""
        scale, shift = self.modulation(e)[:, :, None, None].chunk(2, dim=1)  # (N, inner, 1, 1)
        y = self.reduce(F.silu(self.norm(h)))  # (N, inner, H, W)
        y = F.silu(self.inner_norm(y) * (1 + scale) + shift)
        y = self.expand(self.dropout(self.spatial(y)))  # (N, C_out, H, W)
        return self.skip(h) + y
