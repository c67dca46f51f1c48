import math

import pytest
import torch
from lightly.loss import DINOLoss
from torch import Tensor
from torch.nn import functional

from ccl.losses import dino
from tests.losses.optimiser_step import parameters_after_a_step
from tests.oracles import self_distillation as oracle


def crops(student=5, teacher=2, images=4, prototypes=6, seed=0) -> tuple[Tensor, Tensor]:
    """float64 logits (S, N, K) and targets (T, N, K)."""
    generator = torch.Generator().manual_seed(seed)
    both = torch.randn(student + teacher, images, prototypes, generator=generator).double()
    return both[:student], (3 * both[student:]).softmax(2)


def agrees_with_oracle(loss) -> None:
    for student, teacher, images, temperature in [(5, 2, 4, 0.1), (2, 2, 3, 0.5), (3, 1, 2, 1.0)]:
        logits, targets = crops(student, teacher, images)
        expected = oracle.dino(logits.numpy(), targets.numpy(), temperature)
        assert loss(logits, targets, temperature=temperature).item() == pytest.approx(expected)


def _costs(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    likelihood = functional.log_softmax(student / temperature, 2)
    return -torch.einsum("tnk,snk->ts", teacher, likelihood) / student.shape[1]


def _locals_only(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    kept = student[len(teacher) :] if len(student) > len(teacher) else student
    return _costs(kept, teacher, temperature).mean()


WRONG = {
    "the student also copies the teacher's own crop": lambda s, t, tau: _costs(s, t, tau).mean(),
    "the temperature is ignored": lambda s, t, tau: dino(s, t, temperature=1.0),
    "global crops are not compared with each other": _locals_only,
    "the sum is divided by T S instead of T (S - 1)": lambda s, t, tau: (
        dino(s, t, temperature=tau) * (len(s) - 1) / len(s)
    ),
    "images are summed": lambda s, t, tau: dino(s, t, temperature=tau) * s.shape[1],
    "targets meet their own crop": lambda s, t, tau: dino(s, t.flip(0), temperature=tau),
}


def test_agrees_with_the_equation():
    agrees_with_oracle(dino)


@pytest.mark.parametrize("wrong", WRONG)
def test_the_oracle_kills_wrong_variants(wrong):
    with pytest.raises(AssertionError):
        agrees_with_oracle(lambda s, t, *, temperature: WRONG[wrong](s, t, temperature))


def test_a_student_that_tells_nothing_apart_costs_ln_k():
    _, targets = crops(prototypes=9)
    flat = torch.full((5, 4, 9), 2.5, dtype=torch.float64)
    assert dino(flat, targets, temperature=0.1).item() == pytest.approx(math.log(9))


def test_one_hot_targets_in_closed_form():
    """Every logit 0 but the target's, which is t: ln(1 + (K - 1) / e)."""
    hot = functional.one_hot(torch.tensor([[1, 0, 3]] * 2), 5).double()
    student = 0.3 * hot[:1].repeat(4, 1, 1)
    assert dino(student, hot, temperature=0.3).item() == pytest.approx(math.log1p(4 / math.e))


def test_a_student_that_equals_the_teacher_costs_the_targets_entropy():
    _, targets = crops()
    same = targets[:1].repeat(2, 1, 1)
    entropy = torch.special.entr(same).sum(2).mean().item()
    assert dino(0.2 * same.log(), same, temperature=0.2).item() == pytest.approx(entropy)


def test_order_of_images_and_offsets_of_logits_do_not_matter():
    logits, targets = crops()
    order = torch.tensor([2, 0, 3, 1])
    expected = dino(logits, targets, temperature=0.3).item()
    assert dino(logits[:, order] + 5, targets[:, order], temperature=0.3).item() == pytest.approx(
        expected
    )


def test_gradients_in_float64_and_none_for_the_teacher():
    logits, targets = crops(3, 2, 2, 4)
    logits.requires_grad_()
    torch.autograd.gradcheck(lambda s: dino(s, targets, temperature=0.2), (logits,))
    targets.requires_grad_()
    dino(logits, targets, temperature=0.2).backward()
    assert targets.grad is None


@pytest.mark.parametrize("temperature", [0.02, 0.1, 0.5])
def test_float32_is_close_to_float64(temperature):
    logits, targets = crops(6, 2, 32, 64)
    exact = dino(logits, targets, temperature=temperature).item()
    found = dino(logits.float(), targets.float(), temperature=temperature)
    assert found.item() == pytest.approx(exact, rel=1e-5)


def test_autocast_and_half_precision_do_not_reach_the_softmax():
    logits, targets = crops()
    exact = dino(logits.bfloat16().double(), targets, temperature=0.1).item()
    with torch.autocast("cpu", torch.bfloat16):
        found = dino(logits.bfloat16(), targets.float(), temperature=0.1)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(exact, rel=1e-5)


def test_parameters_after_one_step_agree_with_lightly():
    """lightly centres inside its loss; at first its centre is 0, so targets are a softmax."""
    teacher = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(1))
    given = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(2))
    lightly = DINOLoss(6, teacher_temp=0.05, student_temp=0.2)
    targets = (teacher / 0.05).softmax(2)
    ours = parameters_after_a_step(lambda s: dino(s, targets, temperature=0.2), given, 6)
    theirs = parameters_after_a_step(
        lambda s: lightly(list(teacher), list(s), teacher_temp=0.05), given, 6
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("student", "teacher", "temperature", "message"),
    [
        (torch.ones(3, 2, 4), torch.ones(2, 2, 5), 0.1, r"\(3, 2, 4\) and \(2, 2, 5\)"),
        (torch.ones(3, 4), torch.ones(3, 4), 0.1, r"\(S, N, K\)"),
        (torch.ones(2, 2, 4), torch.ones(3, 2, 4), 0.1, "3 crops"),
        (torch.ones(1, 2, 4), torch.ones(1, 2, 4), 0.1, "at least 2"),
        (torch.ones(3, 2, 4), torch.ones(2, 2, 4), 0.0, "temperature"),
    ],
)
def test_bad_input_is_refused(student, teacher, temperature, message):
    with pytest.raises(ValueError, match=message):
        dino(student, teacher, temperature=temperature)
