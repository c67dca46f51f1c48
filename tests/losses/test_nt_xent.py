import math
from collections.abc import Callable

import pytest
import torch
from lightly.loss import NTXentLoss
from torch import Tensor
from torch.nn import functional

from ccl.losses import nt_xent
from tests.losses.optimiser_step import parameters_after_a_step
from tests.oracles import nt_xent as oracle

TEMPERATURES = (0.02, 0.05, 0.07, 0.1, 0.5)


def embeddings(pairs: int = 6, dimensions: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two float64 (pairs, dimensions) tensors of no particular scale."""
    generator = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(2, pairs, dimensions, generator=generator, dtype=torch.float64)
    return z[0], z[1]


def agrees_with_oracle(loss) -> None:
    for pairs, dimensions, temperature in [(2, 3, 0.5), (6, 5, 0.1), (9, 4, 0.05), (5, 8, 1.0)]:
        z_a, z_b = embeddings(pairs, dimensions)
        expected = oracle.nt_xent(z_a.numpy(), z_b.numpy(), temperature)
        assert loss(z_a, z_b, temperature=temperature).item() == pytest.approx(expected, rel=1e-9)


def _similarity(z_a: Tensor, z_b: Tensor, temperature: float) -> Tensor:
    return torch.cat([z_a, z_b]) @ torch.cat([z_a, z_b]).T / temperature


def _cost(
    similarity: Tensor, *, mask: bool = True, off: int = 0, views: int | None = None
) -> Tensor:
    """Cross entropy of the first views, by default all, with their partners."""
    itself = torch.eye(len(similarity), dtype=torch.bool) & mask
    partner = torch.arange(len(similarity)).roll(len(similarity) // 2 + off)
    return functional.cross_entropy(
        similarity.masked_fill(itself, float("-inf"))[:views], partner[:views]
    )


def _across(z_a: Tensor, z_b: Tensor, temperature: float) -> Tensor:
    across, itself = z_a @ z_b.T / temperature, torch.arange(len(z_a))
    forth = functional.cross_entropy(across, itself)
    return (forth + functional.cross_entropy(across.T, itself)) / 2


def _unit(loss: Callable) -> Callable:
    return lambda a, b, t: loss(functional.normalize(a, dim=1), functional.normalize(b, dim=1), t)


RIGHT = _unit(lambda a, b, t: _cost(_similarity(a, b, t)))
WRONG = {
    "no self-mask": _unit(lambda a, b, t: _cost(_similarity(a, b, t), mask=False)),
    "temperature ignored": lambda a, b, t: nt_xent(a, b, temperature=1.0),
    "no normalisation": lambda a, b, t: _cost(_similarity(a, b, t)),
    "one direction": _unit(lambda a, b, t: _cost(_similarity(a, b, t), views=len(a))),
    "same-view negatives dropped": _unit(_across),
    "positives off by one": _unit(lambda a, b, t: _cost(_similarity(a, b, t), off=1)),
    "sum for mean": lambda a, b, t: 2 * len(a) * nt_xent(a, b, temperature=t),
}


def test_agrees_with_the_equation():
    agrees_with_oracle(nt_xent)


def test_these_mistakes_are_made_in_the_right_loss():
    agrees_with_oracle(lambda a, b, *, temperature: RIGHT(a, b, temperature))


@pytest.mark.parametrize("wrong", WRONG)
def test_the_oracle_kills_wrong_variants(wrong):
    with pytest.raises(AssertionError):
        agrees_with_oracle(lambda a, b, *, temperature: WRONG[wrong](a, b, temperature))


@pytest.mark.parametrize(
    ("z", "temperature", "expected"),
    [
        # All embeddings alike: every view has 2N - 1 equal candidates.
        (torch.ones(4, 3), 0.2, math.log(7)),
        # Partners alike, pairs orthogonal: log(1 + (2N - 2) e^(-1/t)).
        (3 * torch.eye(5), 0.4, math.log1p(8 * math.exp(-1 / 0.4))),
        # N = 2, partners alike, pairs opposite: log(1 + 2 e^(-2/t)).
        (torch.tensor([[2.0, 0], [-2, 0]]), 0.7, math.log1p(2 * math.exp(-2 / 0.7))),
    ],
    ids=["one point", "orthogonal pairs", "antipodal pairs"],
)
def test_closed_forms(z, temperature, expected):
    found = nt_xent(z.double(), z.double(), temperature=temperature).item()
    assert found == pytest.approx(expected, rel=1e-9)


def test_order_of_pairs_and_of_views_scale_and_rotation_do_not_matter():
    z_a, z_b = embeddings()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    scales = torch.linspace(0.1, 7, len(z_a), dtype=torch.float64)[:, None]
    rotation, _ = torch.linalg.qr(embeddings(5, 5, seed=1)[0])
    expected = nt_xent(z_a, z_b, temperature=0.3).item()
    for same in (
        (z_a[order], z_b[order]),
        (z_b, z_a),
        (scales * z_a, z_b / scales),
        (z_a @ rotation, z_b @ rotation),
    ):
        assert nt_xent(*same, temperature=0.3).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_gradients_in_float64(temperature):
    z_a, z_b = (z.requires_grad_() for z in embeddings(4, 3))
    torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, temperature=temperature), (z_a, z_b))


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_float32_is_close_to_float64(temperature):
    z_a, z_b = embeddings(64, 16)
    exact = nt_xent(z_a, z_b, temperature=temperature).item()
    found = nt_xent(z_a.float(), z_b.float(), temperature=temperature).item()
    assert found == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.01, 0.02, 0.05])
def test_nearly_solved_pairs_keep_their_precision_at_low_temperature(temperature):
    """Where subtracting e^(1/t) would cancel."""
    z_a, _ = embeddings(32, 16)
    z_b = z_a + 1e-3 * embeddings(32, 16, seed=2)[0]
    exact = nt_xent(z_a, z_b, temperature=temperature).item()
    single = nt_xent(z_a.float(), z_b.float(), temperature=temperature).item()
    assert single == pytest.approx(exact, rel=1e-4, abs=1e-6)


def test_autocast_and_half_precision_do_not_reach_the_similarities():
    z_a, z_b = (z.bfloat16() for z in embeddings(16, 8))
    exact = nt_xent(z_a.double(), z_b.double(), temperature=0.05).item()
    with torch.autocast("cpu", torch.bfloat16):
        loss = nt_xent(z_a, z_b, temperature=0.05)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact, rel=1e-5)


def test_parameters_after_one_optimiser_step_agree_with_lightly():
    views = torch.stack(embeddings()).float()
    ours = parameters_after_a_step(lambda z: nt_xent(*z, temperature=0.1), views, 4)
    theirs = parameters_after_a_step(lambda z: NTXentLoss(temperature=0.1)(*z), views, 4)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("z_a", "z_b", "temperature", "message"),
    [
        (torch.ones(3, 2), torch.ones(4, 2), 0.1, r"\(3, 2\) and \(4, 2\)"),
        (torch.ones(3), torch.ones(3), 0.1, r"\(N, D\)"),
        (torch.ones(1, 2), torch.ones(1, 2), 0.1, "N = 1"),
        (torch.ones(3, 2), torch.ones(3, 2), -0.1, "temperature"),
        (torch.ones(3, 2), torch.ones(3, 2), float("nan"), "temperature"),
    ],
)
def test_bad_input_is_refused(z_a, z_b, temperature, message):
    with pytest.raises(ValueError, match=message):
        nt_xent(z_a, z_b, temperature=temperature)
