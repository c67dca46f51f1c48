"""Where models run, and in which precision.

A CPU or a GPU that speaks CUDA (NVIDIA's; AMD's through ROCm). Apple's (MPS) are left alone, in
training as in all else: they compute nothing in float64 and were never tried.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def fastest_device() -> torch.device:
    """The GPU where there is one, otherwise the CPU; training is given the same."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_of(module: nn.Module) -> torch.device:
    """The device of a module's parameters, where its inputs have to be."""
    return next(module.parameters()).device


def mixed_precision(device_type: str, wanted: bool) -> torch.autocast:
    """Context in which a forward pass on 'cpu' or 'cuda' runs in bfloat16, if wanted and faster."""
    return torch.autocast(device_type, torch.bfloat16, wanted and computes_in_bfloat16(device_type))


def computes_in_bfloat16(device_type: str) -> bool:
    """Whether a device has instructions for bfloat16; one that emulates it is many times slower."""
    if device_type == "cpu":
        return torch.cpu._is_avx512_bf16_supported()
    return device_type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


@contextmanager
def fast_matrix_products(device_type: str) -> Iterator[None]:
    """Context in which a GPU multiplies float32 matrices in TF32, with 10 bits of the mantissa.

    As its convolutions do anyway. For training alone: what is measured stays exact. On a CPU
    nothing changes, since some would take the same wish for leave to round.

    Source:
        https://docs.pytorch.org/docs/stable/notes/cuda.html#tensorfloat-32-tf32-on-ampere-and-later-devices
    """
    before = torch.get_float32_matmul_precision()
    if device_type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
