"""Teacher targets of self-distillation: assignments to prototypes that do not collapse."""

from collections.abc import Callable

import torch
from torch import Tensor

ITERATIONS = 3  # DINO-v2's


def one_process(values: Tensor) -> Tensor:
    """The values: their sum or maximum over a single process."""
    return values


@torch.no_grad()
def sinkhorn_knopp(
    logits: Tensor,
    *,
    temperature: float,
    iterations: int = ITERATIONS,
    all_reduce_sum: Callable[[Tensor], Tensor] = one_process,
    all_reduce_max: Callable[[Tensor], Tensor] = one_process,
) -> Tensor:
    r"""Assignments that use all prototypes alike: Sinkhorn-Knopp centering, DINO-v2's default.

    With B samples, K prototypes and :math:`Q_{bk} = \exp(l_{bk} / \tau)`, each iteration scales
    the prototypes to equal shares of the batch, then the samples to equal weight:

    .. math:: Q_{bk} \leftarrow \frac{Q_{bk}}{K \sum_{b'} Q_{b'k}}, \qquad
              Q_{bk} \leftarrow \frac{Q_{bk}}{B \sum_{k'} Q_{bk'}}

    and the targets are B Q. Only the two vectors of scales are iterated; Q itself is read, not
    written, which makes an iteration two products of a matrix and a vector.

    Args:
        logits: (B, K) of the teacher; B may be 0.
        temperature: tau > 0.
        iterations: at least 1.
        all_reduce_sum, all_reduce_max: over the processes that each hold a part of the B samples;
            the parts need not be equally large.

    Returns:
        float32 (float64 for float64 logits) (B, K), whatever autocast says; rows sum to 1, columns
        nearly to B / K.

    Raises:
        ValueError: logits are not (B, K), temperature <= 0 or iterations < 1.

    Source:
        Caron et al., SwAV, NeurIPS 2020, https://arxiv.org/abs/2006.09882; in DINO by Ruan et
        al., ICLR 2023; Oquab et al., DINOv2, TMLR 2024, https://arxiv.org/abs/2304.07193
    """
    logits = _checked(logits, temperature)
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, got {iterations}")
    prototypes = logits.shape[1]
    samples = all_reduce_sum(logits.new_full((), len(logits)))  # a tensor: no host waits for it
    scaled = logits / temperature
    # exp cannot overflow, and no row vanishes: a row's largest entry is 1. What this takes from a
    # row is given back by the scale it starts with.
    largest = scaled.amax(1, keepdim=True)  # (B, 1)
    q = torch.exp(scaled - largest)  # (B, K)
    of_sample = torch.exp(largest - all_reduce_max(_max(largest)))[:, 0]  # (B,)
    with torch.autocast(logits.device.type, enabled=False):  # rows would not sum to 1
        for _ in range(iterations):
            share = all_reduce_sum(of_sample @ q)  # (K,)
            of_prototype = 1 / (prototypes * share).clamp(min=_TINY)  # (K,)
            of_sample = 1 / (samples * (q @ of_prototype))  # (B,)
    return q * of_prototype * (samples * of_sample[:, None])


def _max(values: Tensor) -> Tensor:
    """Largest value, shape (); minus infinity of none."""
    return values.max() if values.numel() else values.new_full((), float("-inf"))


# Of a prototype that no sample is near enough to count: finite, and small beside any real share.
_TINY = 1e-30


@torch.no_grad()
def centred_softmax(logits: Tensor, centre: Tensor, *, temperature: float) -> Tensor:
    r"""Softmax of centred logits, :math:`\mathrm{softmax}((l - c) / \tau)`: DINO's first centering.

    Args:
        logits: (B, K) of the teacher; B may be 0.
        centre: (K,) running mean of its logits.
        temperature: tau > 0.

    Returns:
        float32 (float64 for float64 logits) (B, K); rows sum to 1.

    Raises:
        ValueError: logits are not (B, K) or temperature <= 0.

    Source:
        Caron et al., Emerging Properties in Self-Supervised Vision Transformers, ICCV 2021,
        equation 4 and algorithm 1, https://arxiv.org/abs/2104.14294
    """
    logits = _checked(logits, temperature)
    return torch.softmax((logits - centre) / temperature, dim=1)


def _checked(logits: Tensor, temperature: float) -> Tensor:
    if logits.ndim != 2:
        raise ValueError(f"logits must be (B, K), got {tuple(logits.shape)}")
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
