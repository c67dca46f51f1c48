"""Copies that group normalisation makes of channels-last images, and what the layout costs.

    python benchmarks/group_norm.py [images] [size]

A block of the HVAE of profile `paper`, forwards and backwards, in both layouts side by side: copies
of whole maps that torch makes meanwhile, the layout that the normalisation returns, and times. On a
CPU torch has a kernel for each layout. For CUDA it had one for the plain layout alone, so that each
normalisation copied its maps and the convolution after it copied them back
(https://github.com/pytorch/pytorch/issues/111824), until
https://github.com/pytorch/pytorch/pull/191945 added the other: a GPU says which it has.
"""

import sys
from functools import partial

import torch
from timing import in_turns
from torch import nn
from torch.profiler import ProfilerActivity, profile

from ccl.devices import fastest_device
from ccl.generator.blocks import Block
from companion.experiments import config

ROUNDS = 9
DEVICE = fastest_device()
WIDTH = 64


def step(block: nn.Module, x: torch.Tensor, e: torch.Tensor) -> None:
    """A forward pass and its gradients."""
    block(x, e).square().mean().backward()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def copies(block: nn.Module, x: torch.Tensor, e: torch.Tensor) -> int:
    """How often something as large as the inner maps is copied."""
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
        step(block, x, e)
    return sum(
        event.count
        for event in seen.key_averages(group_by_input_shape=True)
        if event.key == "aten::copy_"
        and len(event.input_shapes[0]) == 4
        and event.input_shapes[0][-1] == x.shape[-1]
    )


def main(images: int, size: int) -> None:
    """Prints a row for each layout."""
    options = config.experiment("paper", "padchest", ".").generator.hvae
    stage = options.stages[1]
    ways = {}
    for name, layout in (("plain", torch.contiguous_format), ("last", torch.channels_last)):
        torch.manual_seed(0)
        block = Block(WIDTH, WIDTH, stage, options, last_gain=1.0)
        block = block.to(DEVICE, memory_format=layout)
        x = torch.randn(images, WIDTH, size, size, device=DEVICE).to(memory_format=layout)
        e = torch.randn(images, options.embedding, device=DEVICE)
        normalised = block.norm(x)
        kept = normalised.is_contiguous(memory_format=layout)
        print(f"{name}: normalisation keeps the layout: {kept}; copies: {copies(block, x, e)}")
        ways[name] = partial(step, block, x, e)
    plain, last = in_turns(list(ways.values()), ROUNDS)
    place = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "CPU"
    print(f"{place}: channels last takes {last / plain:.2f} times as long ({1e3 * plain:.0f} ms)")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 4,
        int(sys.argv[2]) if len(sys.argv) > 2 else 112,
    )
