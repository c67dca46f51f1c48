import inspect

import pytest
import torch
from lightly.loss import NTXentLoss

from ccl.encoders.encoder import EncoderOptions, build_encoder
from ccl.losses import nt_xent
from ccl.objectives.simclr import SimCLR, SimCLROptions
from ccl.views.options import AugmentOptions
from tests.losses import checks
from tests.losses.wrong_variants import WRONG_VARIANTS, Loss, one_direction

TEMPERATURES = (0.02, 0.05, 0.07, 0.1, 0.5)


def name_of(function: Loss) -> str:
    return function.__name__


def fails(check: Loss, loss: Loss) -> bool:
    try:
        check(loss)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("check", [*checks.CHECKS, checks.decreases_in_training], ids=name_of)
def test_nt_xent_passes(check):
    check(nt_xent)


@pytest.mark.parametrize("wrong", WRONG_VARIANTS, ids=name_of)
def test_oracle_kills_wrong_variant(wrong):
    assert fails(checks.agrees_with_oracle, wrong)


def test_closed_forms_and_invariances_alone_also_kill_every_wrong_variant():
    others = [check for check in checks.CHECKS if check is not checks.agrees_with_oracle]
    assert not [wrong for wrong in WRONG_VARIANTS if not any(fails(c, wrong) for c in others)]


def test_decreasing_loss_kills_no_wrong_variant():
    assert not [wrong for wrong in WRONG_VARIANTS if fails(checks.decreases_in_training, wrong)]


def test_symmetry_alone_kills_one_wrong_variant():
    killed = [wrong for wrong in WRONG_VARIANTS if fails(checks.symmetric_in_views, wrong)]
    assert killed == [one_direction]


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_gradients_in_float64(temperature):
    z_a, z_b = (z.requires_grad_() for z in checks.embeddings(4, 3))
    torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, temperature=temperature), (z_a, z_b))


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_float32_is_close_to_float64(temperature):
    z_a, z_b = checks.embeddings(64, 16)
    exact = nt_xent(z_a, z_b, temperature=temperature).item()
    assert nt_xent(z_a.float(), z_b.float(), temperature=temperature).item() == pytest.approx(
        exact, rel=1e-5
    )


@pytest.mark.parametrize("temperature", [0.01, 0.02, 0.05])
def test_nearly_solved_pairs_keep_their_precision_at_low_temperature(temperature):
    """Where subtracting e^(1/t) would cancel."""
    z_a, _ = checks.embeddings(32, 16)
    z_b = z_a + 1e-3 * checks.embeddings(32, 16, seed=2)[0]
    exact = nt_xent(z_a, z_b, temperature=temperature).item()
    single = nt_xent(z_a.float(), z_b.float(), temperature=temperature).item()
    assert single == pytest.approx(exact, rel=1e-4, abs=1e-6)


def test_autocast_and_half_precision_do_not_reach_the_similarities():
    z_a, z_b = (z.bfloat16() for z in checks.embeddings(16, 8))
    exact = nt_xent(z_a.double(), z_b.double(), temperature=0.05).item()
    with torch.autocast("cpu", torch.bfloat16):
        loss = nt_xent(z_a, z_b, temperature=0.05)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_agrees_with_lightly(temperature):
    z_a, z_b = (z.float() for z in checks.embeddings(16, 8))
    theirs = NTXentLoss(temperature=temperature)(z_a, z_b).item()
    assert nt_xent(z_a, z_b, temperature=temperature).item() == pytest.approx(theirs, rel=1e-5)


def test_parameters_after_one_optimiser_step_agree_with_lightly():
    def step(loss: Loss) -> torch.Tensor:
        torch.manual_seed(0)
        model = torch.nn.Linear(5, 4)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        z_a, z_b = (z.float() for z in checks.embeddings())
        loss(model(z_a), model(z_b)).backward()
        optimizer.step()
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    ours = step(lambda a, b: nt_xent(a, b, temperature=0.1))
    theirs = step(NTXentLoss(temperature=0.1))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_temperature_option_reaches_the_loss():
    encoder = build_encoder(EncoderOptions(), (32, 32))
    batch = {name: torch.full((4, 32, 32), 9, dtype=torch.uint8) for name in "ab"}
    batch["a"][::2, 8:20] = 200
    losses = []
    for temperature in (0.05, 0.5):
        options = SimCLROptions(temperature=temperature, augment=AugmentOptions())
        torch.manual_seed(0)
        module = SimCLR(encoder, options, seed=0, steps_per_epoch=1)
        losses.append(module.training_step(batch, 0).item())
    assert abs(losses[0] - losses[1]) > 1e-3


def test_temperature_has_no_default():
    assert inspect.signature(nt_xent).parameters["temperature"].default is inspect.Parameter.empty


@pytest.mark.parametrize(
    ("z_a", "z_b", "temperature", "message"),
    [
        (torch.ones(3, 2), torch.ones(4, 2), 0.1, r"\(3, 2\) and \(4, 2\)"),
        (torch.ones(3), torch.ones(3), 0.1, r"\(N, D\)"),
        (torch.ones(1, 2), torch.ones(1, 2), 0.1, "N = 1"),
        (torch.ones(3, 2), torch.ones(3, 2), 0.0, "temperature"),
        (torch.ones(3, 2), torch.ones(3, 2), -0.1, "temperature"),
        (torch.ones(3, 2), torch.ones(3, 2), float("nan"), "temperature"),
    ],
)
def test_bad_input_is_refused(z_a, z_b, temperature, message):
    with pytest.raises(ValueError, match=message):
        nt_xent(z_a, z_b, temperature=temperature)
