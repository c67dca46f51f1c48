"""What any NT-Xent must fulfil, as functions of the loss, so that wrong ones can be tried too.

Each check raises AssertionError where a loss fails it.
"""

import math

import pytest
import torch
from torch import Tensor

from tests.losses.wrong_variants import Loss
from tests.oracles import nt_xent as oracle


def embeddings(pairs: int = 6, dimensions: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two float64 (pairs, dimensions) tensors of no particular scale."""
    generator = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(2, pairs, dimensions, generator=generator, dtype=torch.float64)
    return z[0], z[1]


def agrees_with_oracle(loss: Loss) -> None:
    for pairs, dimensions, temperature in [(2, 3, 0.5), (6, 5, 0.1), (9, 4, 0.05), (5, 8, 1.0)]:
        z_a, z_b = embeddings(pairs, dimensions)
        expected = oracle.nt_xent(z_a.numpy(), z_b.numpy(), temperature)
        assert loss(z_a, z_b, temperature=temperature).item() == pytest.approx(expected, rel=1e-9)


def one_point_costs_chance(loss: Loss) -> None:
    """All embeddings alike: every view has 2N - 1 equal candidates."""
    z = torch.ones(4, 3, dtype=torch.float64)
    assert loss(z, z, temperature=0.2).item() == pytest.approx(math.log(7), rel=1e-9)


def orthogonal_pairs_in_closed_form(loss: Loss) -> None:
    """Partners alike, pairs orthogonal: log(1 + (2N - 2) e^(-1/t))."""
    z = 3 * torch.eye(5, dtype=torch.float64)
    expected = math.log1p(8 * math.exp(-1 / 0.4))
    assert loss(z, z, temperature=0.4).item() == pytest.approx(expected, rel=1e-9)


def antipodal_pairs_in_closed_form(loss: Loss) -> None:
    """N = 2, partners alike, pairs opposite: log(1 + 2 e^(-2/t))."""
    z = torch.tensor([[2.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    expected = math.log1p(2 * math.exp(-2 / 0.7))
    assert loss(z, z, temperature=0.7).item() == pytest.approx(expected, rel=1e-9)


def invariant_to_order_of_pairs(loss: Loss) -> None:
    z_a, z_b = embeddings()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    _same(loss, (z_a, z_b), (z_a[order], z_b[order]))


def symmetric_in_views(loss: Loss) -> None:
    z_a, z_b = embeddings()
    _same(loss, (z_a, z_b), (z_b, z_a))


def invariant_to_scale(loss: Loss) -> None:
    z_a, z_b = embeddings()
    scales = torch.linspace(0.1, 7, len(z_a), dtype=torch.float64)[:, None]
    _same(loss, (z_a, z_b), (scales * z_a, z_b / scales))


def invariant_to_rotation(loss: Loss) -> None:
    z_a, z_b = embeddings()
    rotation, _ = torch.linalg.qr(embeddings(5, 5, seed=1)[0])
    _same(loss, (z_a, z_b), (z_a @ rotation, z_b @ rotation))


def depends_on_temperature(loss: Loss) -> None:
    z_a, z_b = embeddings()
    values = [loss(z_a, z_b, temperature=t).item() for t in (0.05, 0.1, 0.5)]
    assert min(abs(values[0] - values[1]), abs(values[1] - values[2])) > 1e-3


def decreases_in_training(loss: Loss) -> None:
    """The check that many suites stop at."""
    z_a, z_b = (z.clone().requires_grad_() for z in embeddings())
    optimizer = torch.optim.SGD([z_a, z_b], lr=0.02)
    values = []
    for _ in range(20):
        optimizer.zero_grad()
        value = loss(z_a, z_b, temperature=0.5)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < values[0]


def _same(loss: Loss, one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> None:
    expected = loss(*one, temperature=0.3).item()
    assert loss(*other, temperature=0.3).item() == pytest.approx(expected, rel=1e-9)


CHECKS = (
    agrees_with_oracle,
    one_point_costs_chance,
    orthogonal_pairs_in_closed_form,
    antipodal_pairs_in_closed_form,
    invariant_to_order_of_pairs,
    symmetric_in_views,
    invariant_to_scale,
    invariant_to_rotation,
    depends_on_temperature,
)
