"""Two processes with half of the batch each, beside one with the whole batch."""

import pytest
import torch
from torch import Tensor, nn

from ccl import distributed
from ccl.collectives import all_gather, all_reduce_max, all_reduce_mean, all_reduce_sum
from ccl.losses import nt_xent
from tests.pair import Pair

PAIRS, WIDTH = 6, 5


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(WIDTH, 7), nn.Tanh(), nn.Linear(7, 4)).double()


def batch() -> Tensor:
    return torch.randn(2, PAIRS, WIDTH, dtype=torch.float64, generator=torch.Generator())


def mine(rows: Tensor) -> Tensor:
    return rows.chunk(distributed.world_size())[distributed.rank()]


def contrast(together: bool) -> tuple[float, list[Tensor]]:
    """NT-Xent and its gradients as distributed training takes them: the mean over processes."""
    model = network()
    z_a, z_b = (model(mine(view)) for view in batch())
    if together:
        z_a, z_b = all_gather(z_a), all_gather(z_b)
    loss = nt_xent(z_a, z_b, temperature=0.2)
    loss.backward()
    return loss.item(), [all_reduce_mean(parameter.grad) for parameter in model.parameters()]


def test_nt_xent_of_two_processes_is_that_of_one(pair: Pair) -> None:
    loss, gradients = contrast(True)
    for other, others in pair(contrast, True):
        assert other == pytest.approx(loss, rel=1e-12)
        torch.testing.assert_close(others, gradients, rtol=1e-10, atol=1e-12)


def test_without_the_negatives_of_others_it_is_another_loss(pair: Pair) -> None:
    """The negative control: neither loss nor gradients are those of the whole batch."""
    loss, gradients = contrast(True)
    for other, others in pair(contrast, False):
        assert abs(other - loss) > 0.1
        pairs = zip(others, gradients, strict=True)
        assert max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs) > 0.1


def reductions() -> list[Tensor]:
    mine = torch.arange(4.0).reshape(2, 2) + 10 * distributed.rank()
    return [
        reduce(mine) for reduce in (all_gather, all_reduce_sum, all_reduce_mean, all_reduce_max)
    ]


def test_reductions(pair: Pair) -> None:
    one = torch.arange(4.0).reshape(2, 2)
    two = one + 10
    expected = [torch.cat([one, two]), one + two, (one + two) / 2, two]
    for found in pair(reductions):
        torch.testing.assert_close(found, expected)


def test_one_process_gets_back_the_very_tensor() -> None:
    mine = torch.randn(3, 2)
    for reduce in (all_gather, all_reduce_sum, all_reduce_mean, all_reduce_max):
        assert reduce(mine) is mine


def reductions_alone() -> bool:
    with distributed.single_process():
        mine = torch.ones(2)
        return (
            distributed.world_size() == 1
            and all_reduce_sum(mine) is mine
            and distributed.broadcast(mine) is mine
        )


def test_alone_a_process_waits_for_nobody(pair: Pair) -> None:
    assert pair(reductions_alone) == [True, True]
