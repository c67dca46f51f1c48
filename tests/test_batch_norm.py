"""Batch normalisation of two processes beside that of one with the whole batch."""

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from ccl import distributed
from ccl.batch_norm import SyncBatchNorms
from ccl.collectives import all_reduce_mean
from tests.pair import Pair

KINDS = {"plain": nn.BatchNorm2d, "timm's, with an activation": BatchNormAct2d}


def network(kind: str) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), KINDS[kind](3), nn.Conv2d(3, 2, 3)).double()


def images() -> Tensor:
    """Whose second half is brighter: statistics of the halves differ from those of the whole."""
    drawn = torch.randn(8, 1, 9, 7, dtype=torch.float64, generator=torch.Generator())
    return drawn + 5 * (torch.arange(8) >= 4).view(-1, 1, 1, 1)


def trained(kind: str, shared: bool) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Mean gradients over the processes, and what the layers hold afterwards."""
    model = network(kind)
    layers = SyncBatchNorms()
    made = layers.apply(model) if shared else model
    mine = images().chunk(distributed.world_size())[distributed.rank()]
    made(mine).square().mean().backward()
    gradients = [all_reduce_mean(p.grad) for p in made.parameters()]
    made = layers.revert(made)
    assert type(made[1]) is KINDS[kind]
    return gradients, {name: value.detach() for name, value in made.state_dict().items()}


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_normalise_as_one(pair: Pair, kind: str) -> None:
    expected = trained(kind, False)
    for found in pair(trained, kind, True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_statistics_of_each_process_alone_are_others(pair: Pair) -> None:
    """The negative control."""
    _, expected = trained("plain", False)
    for _, found in pair(trained, "plain", False):
        assert (found["1.running_var"] - expected["1.running_var"]).abs().max() > 0.1


def test_evaluation_is_left_as_it_was() -> None:
    model = network("timm's, with an activation")
    model(images())
    expected = model.eval()(images())
    torch.testing.assert_close(SyncBatchNorms().apply(model)(images()), expected)
