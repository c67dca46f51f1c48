import math

import pytest
import torch
from lightly.loss import IBOTPatchLoss
from torch import Tensor

from ccl.losses import ibot
from tests.losses.optimiser_step import parameters_after_a_step
from tests.oracles import self_distillation as oracle

# Four images of six patches with 3, 0, 1 and 2 masked.
MASKS = torch.tensor(
    [[1, 0, 1, 0, 0, 1], [0] * 6, [0, 0, 0, 1, 0, 0], [1, 1, 0, 0, 0, 0]], dtype=torch.bool
)


def patches(prototypes=5, seed=0) -> tuple[Tensor, Tensor]:
    """float64 logits and targets (6, K) of the masked patches."""
    generator = torch.Generator().manual_seed(seed)
    both = torch.randn(2, 6, prototypes, generator=generator).double()
    return both[0], (3 * both[1]).softmax(1)


def agrees_with_oracle(loss) -> None:
    for temperature in (0.1, 0.5):
        logits, targets = patches()
        expected = oracle.ibot(logits.numpy(), targets.numpy(), MASKS.numpy(), temperature)
        found = loss(logits, targets, MASKS, temperature=temperature).item()
        assert found == pytest.approx(expected)


def _rows(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    return -(teacher * (student / temperature).log_softmax(1)).sum(1)


WRONG = {
    "images with many masked patches count more": lambda s, t, m, tau: _rows(s, t, tau).mean(),
    "images without masks are left out of B": lambda s, t, m, tau: (
        ibot(s, t, m, temperature=tau) * 4 / 3
    ),
    "the temperature is ignored": lambda s, t, m, tau: ibot(s, t, m, temperature=1.0),
    "weights in the wrong order": lambda s, t, m, tau: ibot(s, t, m.flip(0), temperature=tau),
}


def test_agrees_with_the_equation():
    agrees_with_oracle(ibot)


@pytest.mark.parametrize("wrong", WRONG)
def test_the_oracle_kills_wrong_variants(wrong):
    with pytest.raises(AssertionError):
        agrees_with_oracle(lambda s, t, m, *, temperature: WRONG[wrong](s, t, m, temperature))


def test_flat_logits_cost_ln_k_per_masked_image():
    _, targets = patches()
    flat = torch.ones(6, 5, dtype=torch.float64)
    assert ibot(flat, targets, MASKS, temperature=0.1).item() == pytest.approx(math.log(5) * 3 / 4)


def test_which_patches_of_an_image_are_masked_does_not_matter():
    logits, targets = patches()
    moved = MASKS[:, [5, 3, 0, 1, 2, 4]]
    expected = ibot(logits, targets, MASKS, temperature=0.2).item()
    assert ibot(logits, targets, moved, temperature=0.2).item() == pytest.approx(expected)


def test_nothing_masked_costs_nothing_and_can_be_differentiated():
    logits = torch.zeros(0, 5, requires_grad=True)
    loss = ibot(logits, torch.zeros(0, 5), torch.zeros(3, 6, dtype=torch.bool), temperature=0.1)
    loss.backward()
    assert loss.item() == 0


def test_gradients_in_float64():
    logits, targets = patches()
    logits.requires_grad_()
    torch.autograd.gradcheck(lambda s: ibot(s, targets, MASKS, temperature=0.2), (logits,))


@pytest.mark.parametrize("temperature", [0.02, 0.1, 0.5])
def test_float32_is_close_to_float64(temperature):
    logits, targets = patches(64)
    exact = ibot(logits, targets, MASKS, temperature=temperature).item()
    found = ibot(logits.float(), targets.float(), MASKS, temperature=temperature)
    assert found.item() == pytest.approx(exact, rel=1e-5)


def test_parameters_after_one_step_agree_with_lightly():
    teacher, _ = (part.float() for part in patches())
    tokens = torch.randn(6, 3, generator=torch.Generator().manual_seed(2))
    lightly = IBOTPatchLoss(5, teacher_temp=0.05, student_temp=0.2)
    targets = (teacher / 0.05).softmax(1)
    ours = parameters_after_a_step(lambda s: ibot(s, targets, MASKS, temperature=0.2), tokens, 5)
    theirs = parameters_after_a_step(lambda s: lightly(teacher, s, MASKS.view(4, 2, 3)), tokens, 5)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("student", "teacher", "masks", "temperature", "message"),
    [
        (torch.ones(6, 2), torch.ones(5, 2), MASKS, 0.1, r"\(6, 2\) and \(5, 2\)"),
        (torch.ones(5, 2), torch.ones(5, 2), MASKS, 0.1, "6 masked patches, the logits 5 rows"),
        (torch.ones(6, 2), torch.ones(6, 2), MASKS.float(), 0.1, "bool"),
        (torch.ones(6, 2), torch.ones(6, 2), MASKS, 0.0, "temperature"),
    ],
)
def test_bad_input_is_refused(student, teacher, masks, temperature, message):
    with pytest.raises(ValueError, match=message):
        ibot(student, teacher, masks, temperature=temperature)
