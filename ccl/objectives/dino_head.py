"""DINO's head and centering: from tokens to logits over prototypes to the teacher's targets."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from ccl.collectives import all_reduce_max, all_reduce_sum
from ccl.losses import centred_softmax, sinkhorn_knopp
from ccl.objectives.dino_options import Centering, HeadOptions


class DinoHead(nn.Module):
    """Three-layer MLP onto the unit sphere, then a weight-normed layer of prototypes.

    Source:
        Caron et al., ICCV 2021, section 3.1, https://arxiv.org/abs/2104.14294; the magnitudes of
        the prototypes start at 1 and are learned, as DINO-v2 has it.
    """

    def __init__(self, width: int, options: HeadOptions) -> None:
        """A head on tokens of length `width`."""
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(width, options.hidden),
            nn.GELU(),
            nn.Linear(options.hidden, options.hidden),
            nn.GELU(),
            nn.Linear(options.hidden, options.bottleneck),
        )
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.last_layer = weight_norm(nn.Linear(options.bottleneck, options.prototypes, bias=False))
        nn.init.ones_(self.last_layer.parametrizations.weight.original0)  # magnitudes

    def forward(self, token: Tensor) -> Tensor:
        """Logits (n, K), at first cosines, of tokens (n, width)."""
        logits: Tensor = self.last_layer(functional.normalize(self.mlp(token), dim=1))
        return logits


class Targets(nn.Module):
    """Turns the teacher's logits into targets, so that they neither flatten nor pick one prototype.

    Processes that train as one share them out over the logits of all.
    The running centre is a buffer: a resumed training goes on with it.
    """

    centre: Tensor

    def __init__(self, kind: Centering, prototypes: int, momentum: float) -> None:
        """Targets over K prototypes.

        Args:
            kind: 'sinkhorn' (DINO-v2), 'softmax' with a running centre of some momentum (DINO), or
                'none', which collapses and is there to show that.
        """
        super().__init__()
        self.kind, self.momentum = kind, momentum
        self.register_buffer("centre", torch.zeros(prototypes))

    @torch.no_grad()
    def forward(self, logits: Tensor, temperature: float) -> Tensor:
        """Targets, float32 (n, K), of logits (n, K); n may be 0."""
        if self.kind == "sinkhorn":
            return sinkhorn_knopp(
                logits,
                temperature=temperature,
                all_reduce_sum=all_reduce_sum,
                all_reduce_max=all_reduce_max,
            )
        # Without centering the centre stays where it starts: 0.
        targets = centred_softmax(logits, self.centre, temperature=temperature)
        if self.kind == "softmax":
            self._move_centre(logits)
        return targets

    def _move_centre(self, logits: Tensor) -> None:
        samples = all_reduce_sum(self.centre.new_full((), len(logits)))
        mean = all_reduce_sum(logits.float().sum(0)) / samples.clamp(min=1)
        # Of no samples the centre stays; a host that read their number would wait for it.
        self.centre.lerp_(torch.where(samples > 0, mean, self.centre), 1 - self.momentum)
