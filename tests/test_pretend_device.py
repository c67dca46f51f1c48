"""The pretend device refuses what a GPU refuses, and notes what a GPU's host waits for."""

import pytest
import torch
from torch import nn

from tests.pretend_device import OnDevice, host_waits, pretend_device


@pytest.fixture(autouse=True)
def device():
    with pretend_device() as device:
        yield device


@pytest.mark.parametrize(
    "mixed",
    [
        lambda here, there: there + here,
        lambda here, there: here.add_(there),
        lambda here, there: torch.cat([there, here]),
        lambda here, there: here[there.long()],
        lambda here, there: nn.Linear(2, 2)(there),
        lambda here, there: there.requires_grad_() * here,
    ],
)
@pytest.mark.parametrize("inference", [False, True])
def test_mixing_devices_raises(device, mixed, inference):
    here = torch.ones(2, 2)
    there = here.to(device)
    assert isinstance(there, OnDevice)
    with torch.inference_mode(inference), pytest.raises(RuntimeError, match="same device"):
        mixed(here, there)


def test_numpy_and_foreign_random_numbers_raise(device):
    with pytest.raises(RuntimeError):
        torch.ones(2, device=device).numpy()
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(2, generator=torch.Generator(), device=device)


@pytest.mark.parametrize(
    "waiting",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x[0] > 0),
        lambda x: x.cpu(),
        lambda x: x[x > 1],
        lambda x: x[torch.tensor([0, 1])],
        lambda x: x.unique(),
        lambda x: torch.ones(2).to(x.device),
    ],
)
def test_what_the_host_of_a_gpu_waits_for_is_noted(device, waiting):
    x = torch.arange(4.0, device=device)
    with host_waits() as waits:
        torch.where(x > 1, x, 2 * x)[x.long()].sum()
    assert not waits
    with host_waits() as waits:
        waiting(x)
    assert waits


def trained(device):
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.Flatten(), nn.Linear(64, 3)
    module = nn.Sequential(*layers).to(device)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, fused=True)
    for _ in range(2):
        loss = nn.functional.cross_entropy(
            module(torch.rand(5, 1, 6, 6).to(device)), torch.arange(5, device=device) % 3
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [loss, *module.cpu().state_dict().values()]


def test_a_network_learns_the_same_as_on_the_cpu(device):
    for here, there in zip(trained("cpu"), trained(device), strict=True):
        torch.testing.assert_close(here, there.cpu(), rtol=1e-5, atol=1e-6)
