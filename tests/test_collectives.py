"""What processes tell each other of tensors; `objectives/test_processes.py` learns through it."""

import torch
from torch import Tensor

from ccl import distributed
from ccl.collectives import all_gather, all_reduce_max, all_reduce_mean, all_reduce_sum
from tests.pair import Pair


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
