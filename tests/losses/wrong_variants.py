"""Seven plausible mistakes in NT-Xent. The tests must tell each of them from the real one."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def _similarity(z_a: Tensor, z_b: Tensor, temperature: float, *, normalise: bool = True) -> Tensor:
    z = torch.cat([z_a, z_b])
    z = functional.normalize(z, dim=1) if normalise else z
    return z @ z.T / temperature


def _masked(similarity: Tensor) -> Tensor:
    itself = torch.eye(len(similarity), dtype=torch.bool)
    return similarity.masked_fill(itself, float("-inf"))


def _partner(similarity: Tensor) -> Tensor:
    return torch.arange(len(similarity)).roll(len(similarity) // 2)


def no_self_mask(z_a: Tensor, z_b: Tensor, *, temperature: float) -> Tensor:
    """The denominator also holds k = i."""
    similarity = _similarity(z_a, z_b, temperature)
    return functional.cross_entropy(similarity, _partner(similarity))


def temperature_ignored(z_a: Tensor, z_b: Tensor, *, temperature: float) -> Tensor:
    """The option never reaches the loss."""
    similarity = _masked(_similarity(z_a, z_b, 1.0))
    return functional.cross_entropy(similarity, _partner(similarity))


def no_normalisation(z_a: Tensor, z_b: Tensor, *, temperature: float) -> Tensor:
    """Inner products instead of cosines."""
    similarity = _masked(_similarity(z_a, z_b, temperature, normalise=False))
    return functional.cross_entropy(similarity, _partner(similarity))


def one_direction(z_a: Tensor, z_b: Tensor, *, temperature: float) -> Tensor:
    """Only first views look for their partners."""
    similarity = _masked(_similarity(z_a, z_b, temperature))
    pairs = len(z_a)
    return functional.cross_entropy(similarity[:pairs], _partner(similarity)[:pairs])


def same_view_negatives_dropped(z_a: Tensor, z_b: Tensor, *, temperature: float) -> Tensor:
    """Negatives come from the other view only."""
    across = functional.normalize(z_a, dim=1) @ functional.normalize(z_b, dim=1).T / temperature
    itself = torch.arange(len(z_a))
    forth = functional.cross_entropy(across, itself)
    return (forth + functional.cross_entropy(across.T, itself)) / 2


def positives_off_by_one(z_a: Tensor, z_b: Tensor, *, temperature: float) -> Tensor:
    """The partner of view i is taken to be i + N - 1."""
    similarity = _masked(_similarity(z_a, z_b, temperature))
    return functional.cross_entropy(similarity, _partner(similarity).roll(1))


def sum_for_mean(z_a: Tensor, z_b: Tensor, *, temperature: float) -> Tensor:
    """Pairs are summed."""
    similarity = _masked(_similarity(z_a, z_b, temperature))
    return functional.cross_entropy(similarity, _partner(similarity), reduction="sum")


Loss = Callable[..., Tensor]
WRONG_VARIANTS: tuple[Loss, ...] = (
    no_self_mask,
    temperature_ignored,
    no_normalisation,
    one_direction,
    same_view_negatives_dropped,
    positives_off_by_one,
    sum_for_mean,
)
