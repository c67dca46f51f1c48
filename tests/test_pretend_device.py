"""The pretend device refuses what a GPU refuses, and computes what the CPU computes."""

import copy

import pytest
import torch
from torch import nn

from tests.pretend_device import OnDevice, host_waits, pretend_device


@pytest.fixture(autouse=True)
def device():
    with pretend_device() as device:
        yield device


def test_values_come_and_go(device):
    x = torch.arange(6.0).view(2, 3)
    there = x.to(device)
    assert isinstance(there, OnDevice)
    assert there.device == device
    assert type(there.cpu()) is torch.Tensor
    torch.testing.assert_close(there.cpu(), x, rtol=0, atol=0)
    there += 1
    assert x[0, 0] == 0  # devices share no memory
    back = there.cpu()
    back += 1
    assert there[0, 0].item() == 1
    with torch.inference_mode():
        there, back = x.to(device), x.to(device).cpu()
        back += 1
        assert there.add_(2) is there
    assert (x[0, 0].item(), there[0, 0].item()) == (0, 2)


@pytest.mark.parametrize(
    "mixed",
    [
        lambda here, there: there + here,
        lambda here, there: here * there,
        lambda here, there: there @ here,
        lambda here, there: there.add_(here),
        lambda here, there: here.add_(there),
        lambda here, there: torch.add(there, there, out=here),
        lambda here, there: torch.cat([there, here]),
        lambda here, there: torch.where(here > 0, there, there),
        lambda here, there: here[there.long()],
        lambda here, there: here.index_add_(0, there[0].long(), there),
        lambda here, there: there.scatter(0, here.long(), 1.0),
        lambda here, there: torch.stack([there.sum(), here.sum()]),
        lambda here, there: here.sum().add_(there.sum()),
        lambda here, there: nn.Linear(2, 2)(there),
        lambda here, there: there.requires_grad_() * here,
    ],
)
@pytest.mark.parametrize("inference", [False, True])
def test_mixing_devices_raises(device, mixed, inference):
    here = torch.ones(2, 2)
    there = here.to(device)
    with torch.inference_mode(inference), pytest.raises(RuntimeError, match="same device"):
        mixed(here, there)


def test_numpy_and_foreign_random_numbers_raise(device):
    x = torch.ones(2, device=device)
    with pytest.raises(RuntimeError):
        x.numpy()
    with torch.inference_mode(), pytest.raises(RuntimeError):
        x.numpy()
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(2, generator=torch.Generator(), device=device)


def test_what_a_gpu_takes_from_the_cpu(device):
    x = torch.arange(4.0, device=device)
    assert (x * torch.tensor(2.0)).sum().item() == 12
    assert x[torch.tensor([3, 1])].cpu().tolist() == [3, 1]
    x[torch.tensor([0])] = 7.0
    x.copy_(x.cpu() + 1)
    assert x.cpu().tolist() == [8, 2, 3, 4]
    here = torch.zeros(4)
    here.copy_(x)
    assert here.tolist() == [8, 2, 3, 4]


@pytest.mark.parametrize(
    "waiting",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x[0] > 0),
        lambda x: float(x[0]),
        lambda x: x.cpu(),
        lambda x: torch.empty(4).copy_(x),
        lambda x: x.nonzero(),
        lambda x: x[x > 1],
        lambda x: x[torch.tensor([0, 1])],
        lambda x: x.masked_select(x > 1),
        lambda x: x.index_put_((x > 1,), x.new_zeros(())),
        lambda x: x.repeat_interleave(x.long()),
        lambda x: x.unique(),
        lambda x: torch.linalg.eigvalsh(x.outer(x)),
        lambda x: torch.ones(2).to(x.device),
        lambda x: torch.tensor(1.0, device=x.device),
        lambda x: x.copy_(torch.ones(4)),
    ],
)
def test_what_the_host_of_a_gpu_waits_for_is_noted(device, waiting):
    x = torch.arange(4.0, device=device)
    with host_waits() as waits:
        waiting(x)
    assert waits


def test_what_no_host_waits_for_is_not_noted(device):
    x, here = torch.arange(4.0, device=device), torch.arange(4.0)
    with host_waits() as waits:
        there = here.to(device, non_blocking=True)
        x.copy_(here, non_blocking=True)
        x = torch.where(x > 1, x, there)[x.long()] * torch.tensor(2.0)
        x.repeat_interleave(x.long(), output_size=12).sum()
        here[here > 1].tolist()
        x.new_full((), 3).lerp_(x.sum(), 0.5)
    assert not waits


def test_whatever_makes_tensors_makes_them_with_values(device):
    made = [
        torch.tensor([1.0, 2.0], device=device),
        torch.tensor(2, device=device),
        torch.full((2,), 3.0, device=device),
        torch.zeros_like(torch.ones(2), device=device),
        nn.functional.one_hot(torch.tensor([1], device=device), 2),
    ]
    assert all(isinstance(x, OnDevice) for x in made)
    assert [x.sum().item() for x in made] == [3, 2, 6, 0, 1]
    with pytest.raises(AssertionError, match="not watched"):
        torch.ones(2, device=device).new_tensor([5.0])


def test_random_numbers_are_the_cpus(device):
    torch.manual_seed(0)
    here = torch.rand(3), torch.randn(2, 2)
    torch.manual_seed(0)
    x = torch.rand(3, device=device)
    torch.testing.assert_close((x.cpu(), torch.randn_like(x.new_zeros(2, 2)).cpu()), here)


def test_views_and_writing_in_place_are_honest(device):
    x = torch.zeros(3, 4, device=device)
    view = x[1:, ::2]
    assert view.mul_(1) is view
    view += 1
    torch.add(view, 1, out=x[1:, 1::2])
    x[:, 0].fill_(9)
    assert x.cpu().tolist() == [[9, 0, 0, 0], [9, 2, 1, 2], [9, 2, 1, 2]]
    assert view[0, 0].item() == 9


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.Flatten(), nn.Linear(64, 3)
    )


def trained(device):
    module = small().to(device)
    kept = copy.deepcopy(module)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, fused=True)
    torch.manual_seed(1)
    for _ in range(2):
        x = torch.rand(5, 1, 6, 6).to(device)
        loss = nn.functional.cross_entropy(module(x), torch.arange(5, device=device) % 3)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    assert not torch.equal(kept[0].weight.cpu(), module[0].weight.cpu())
    weights = copy.deepcopy(module.state_dict())
    module.load_state_dict(weights)
    return [loss, *module.cpu().state_dict().values()]


def test_a_network_learns_the_same_as_on_the_cpu(device):
    for here, there in zip(trained("cpu"), trained(device), strict=True):
        torch.testing.assert_close(here, there.cpu(), rtol=1e-5, atol=1e-6)


def test_autocast_is_left_out_on_the_device_only(device):
    layer, x = nn.Linear(2, 2), torch.ones(1, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    with torch.autocast(device.type, torch.bfloat16):
        assert layer.to(device)(x.to(device)).dtype == torch.float32
