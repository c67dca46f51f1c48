import numpy as np
import pytest
import torch

from ccl.losses import centred_softmax, sinkhorn_knopp
from tests.oracles import self_distillation as oracle


def logits(samples=12, prototypes=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, prototypes, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("iterations", [1, 3, 10])
@pytest.mark.parametrize("temperature", [0.04, 0.07, 1.0])
def test_sinkhorn_knopp_is_dinov2s_at_any_number_of_iterations(iterations, temperature):
    found = sinkhorn_knopp(logits(), temperature=temperature, iterations=iterations)
    expected = oracle.sinkhorn_knopp(logits().numpy(), temperature, iterations)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-15)


def test_autocast_does_not_reach_sinkhorn_knopp():
    given = logits(64, 512).float()
    exact = sinkhorn_knopp(given, temperature=0.04)
    with torch.autocast("cpu", torch.bfloat16):
        found = sinkhorn_knopp(given, temperature=0.04)
    torch.testing.assert_close(found, exact, rtol=0, atol=0)


def test_equal_logits_are_assigned_to_all_prototypes_alike():
    targets = sinkhorn_knopp(torch.full((5, 8), 3.0), temperature=0.04)
    torch.testing.assert_close(targets, torch.full((5, 8), 1 / 8))


def test_sinkhorn_knopp_follows_the_order_of_samples_and_ignores_offsets_of_prototypes():
    order = torch.tensor([3, 1, 0, 2])
    given = logits(4)
    targets = sinkhorn_knopp(given, temperature=0.3)
    torch.testing.assert_close(sinkhorn_knopp(given[order], temperature=0.3), targets[order])
    shifted = given + torch.linspace(-2, 2, 7, dtype=torch.float64)
    torch.testing.assert_close(sinkhorn_knopp(shifted, temperature=0.3), targets)


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_extreme_logits_stay_finite_in_float32(scale):
    targets = sinkhorn_knopp(scale * logits(20, 9).float(), temperature=0.04)
    assert targets.dtype == torch.float32
    assert targets.isfinite().all()
    torch.testing.assert_close(targets.sum(1), torch.ones(20), rtol=1e-4, atol=0)


def test_float32_is_close_to_float64():
    exact = sinkhorn_knopp(logits(64, 32), temperature=0.07)
    found = sinkhorn_knopp(logits(64, 32).float(), temperature=0.07)
    torch.testing.assert_close(found.double(), exact, rtol=1e-3, atol=1e-6)


def test_nothing_masked_gives_no_targets():
    assert sinkhorn_knopp(torch.zeros(0, 5), temperature=0.1).shape == (0, 5)
    assert centred_softmax(torch.zeros(0, 5), torch.zeros(5), temperature=0.1).shape == (0, 5)


def test_centred_softmax_in_closed_form():
    """Logits less centre are ln 1, ln 2, ln 5 at temperature 1."""
    centre = torch.tensor([4.0, -1.0, 2.0])
    given = (torch.tensor([[1.0, 2.0, 5.0]]).log() + centre).double()
    found = centred_softmax(given, centre.double(), temperature=1.0)
    torch.testing.assert_close(found, torch.tensor([[1, 2, 5]]).double() / 8)
    # Squared at half the temperature.
    found = centred_softmax(given, centre.double(), temperature=0.5)
    torch.testing.assert_close(found, torch.tensor([[1, 4, 25]]).double() / 30)


def test_targets_carry_no_gradient():
    given = logits().requires_grad_()
    assert not sinkhorn_knopp(given, temperature=0.1).requires_grad
    assert not centred_softmax(given, torch.zeros(7), temperature=0.1).requires_grad


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"logits": torch.zeros(3), "temperature": 0.1}, r"\(B, K\)"),
        ({"logits": torch.zeros(3, 2), "temperature": 0.0}, "temperature"),
        ({"logits": torch.zeros(3, 2), "temperature": 0.1, "iterations": 0}, "iterations"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        sinkhorn_knopp(**arguments)
