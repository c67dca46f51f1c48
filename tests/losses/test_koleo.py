import math

import pytest
import torch
from lightly.loss import KoLeoLoss
from torch import Tensor
from torch.nn import functional

from ccl.losses import koleo
from tests.losses.optimiser_step import parameters_after_a_step
from tests.oracles import self_distillation as oracle


def features(rows=8, width=5, seed=0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(rows, width, generator=generator, dtype=torch.float64)


def agrees_with_oracle(loss) -> None:
    for rows, width in [(8, 5), (2, 3), (20, 2)]:
        given = features(rows, width)
        assert loss(given).item() == pytest.approx(oracle.koleo(given.numpy()))


def _distances(x: Tensor) -> Tensor:
    return torch.cdist(x, x)


WRONG = {
    "each is its own neighbour": lambda x: (
        -(_distances(functional.normalize(x, dim=1)).amin(1) + 1e-8).log().mean()
    ),
    "not normalised": lambda x: -_distances(x).fill_diagonal_(math.inf).amin(1).log().mean(),
    "the furthest neighbour": lambda x: (
        -_distances(functional.normalize(x, dim=1)).amax(1).log().mean()
    ),
    "attracts": lambda x: -koleo(x),
}


def test_agrees_with_the_equation():
    agrees_with_oracle(koleo)


@pytest.mark.parametrize("wrong", WRONG)
def test_the_oracle_kills_wrong_variants(wrong):
    with pytest.raises(AssertionError):
        agrees_with_oracle(WRONG[wrong])


def test_orthogonal_and_opposite_points_in_closed_form():
    assert koleo(5 * torch.eye(4).double()).item() == pytest.approx(-math.log(math.sqrt(2)))
    opposite = torch.tensor([[1.0, 0.0], [-3.0, 0.0]], dtype=torch.float64)
    assert koleo(opposite).item() == pytest.approx(-math.log(2))


def test_order_scale_and_rotation_do_not_matter():
    given = features()
    expected = koleo(given).item()
    rotation, _ = torch.linalg.qr(features(5, 5, seed=1))
    scales = torch.linspace(0.1, 9, 8, dtype=torch.float64)[:, None]
    assert koleo(given.flip(0)).item() == pytest.approx(expected)
    assert koleo(scales * given).item() == pytest.approx(expected)
    assert koleo(given @ rotation).item() == pytest.approx(expected)


@pytest.mark.parametrize("duplicates", ["a pair", "all", "zeros"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_duplicates_have_a_finite_value_and_gradient(duplicates, dtype):
    given = features().to(dtype)
    if duplicates == "a pair":
        given[1] = given[0]
    else:
        given = torch.ones_like(given) * (duplicates == "all")
    given.requires_grad_()
    loss = koleo(given)
    loss.backward()
    assert loss.isfinite()
    assert given.grad.isfinite().all()
    assert loss > koleo(features()) + 1  # and they cost much


def test_duplicates_do_not_drown_the_gradient_of_the_others():
    given = features().float()
    given[1] = given[0]
    given.requires_grad_()
    koleo(given).backward()
    assert given.grad.abs().max() < 10


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_image_alone_costs_nothing(dtype):
    alone = torch.ones(1, 4, dtype=dtype, requires_grad=True)
    loss = koleo(alone)
    loss.backward()
    assert loss.item() == 0
    assert (alone.grad == 0).all()


def test_gradients_in_float64():
    torch.autograd.gradcheck(koleo, (features().requires_grad_(),))


def test_float32_is_close_to_float64():
    given = features(64, 16)
    assert koleo(given.float()).item() == pytest.approx(koleo(given).item(), rel=1e-5)


def test_parameters_after_one_step_agree_with_lightly():
    tokens = torch.randn(6, 3, generator=torch.Generator().manual_seed(2))
    ours, theirs = (
        parameters_after_a_step(loss, tokens, 5, learning_rate=0.1) for loss in (koleo, KoLeoLoss())
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("given", [torch.ones(3), torch.ones(0, 4)])
def test_bad_input_is_refused(given):
    with pytest.raises(ValueError, match="features must be"):
        koleo(given)
