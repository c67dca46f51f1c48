"""A generator as a page takes it: description and weights, where it is small enough.

The page's own network (`network.js`, `hvae.js`) reads both as they are. Its images agree with those
of PyTorch within hundredths of a grey level (tests/book/test_live_generator.py).
"""

from typing import Any, NamedTuple

import safetensors.torch
from torch import Tensor, nn

from ccl.generator.generator import Generator, description
from ccl.generator.hvae import HVAE

LARGEST = 2_700_000  # bytes of weights; as text in a page a third more
SLOWEST = 100e6  # multiplications of one prediction: 50 ms in JavaScript, on one core


class Live(NamedTuple):
    """What a page needs to compute counterfactuals.

    Attributes:
        description: of `ccl.generator.generator.description`.
        weights: a safetensors file, in half precision where it would be too large otherwise.
    """

    description: dict[str, Any]
    weights: bytes


def live(generator: Generator) -> Live | None:
    """The generator for a page; None where it is too large or slow, or has further mechanisms."""
    weights = safetensors.torch.save(_weights(generator.hvae))
    if len(weights) > LARGEST:
        weights = safetensors.torch.save(_weights(generator.hvae, half=True))
    if generator.parents.tables or len(weights) > LARGEST:
        return None
    if multiplications(generator.hvae) > SLOWEST:
        return None
    return Live(description(generator), weights)


def _weights(hvae: HVAE, half: bool = False) -> dict[str, Tensor]:
    """Weights, in half precision if asked; tables of pixels and of quantiles stay as they are."""
    learned = {name for name, _ in hvae.named_parameters()}
    return {
        name: (value.half() if half and name in learned else value.float()).cpu().contiguous()
        for name, value in hvae.state_dict().items()
    }


def multiplications(hvae: HVAE) -> int:
    """Multiplications of one prediction, those of its convolutions."""
    by_stage = zip(hvae.decoder, reversed(hvae.sizes), strict=True)
    blocks = sum(h * w * _kernels(stage, "posterior") for stage, (h, w) in by_stage)
    height, width = hvae.sizes[0]
    return blocks + height * width * hvae.out.weight.numel()


def _kernels(module: nn.Module, without: str) -> int:
    return sum(
        part.weight.numel()
        for name, part in module.named_modules()
        if isinstance(part, nn.Conv2d) and without not in name.split(".")
    )
