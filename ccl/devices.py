"""Where models run, and in which precision."""

import torch
from torch import nn


def fastest_device() -> torch.device:
    """The GPU where there is one, otherwise the CPU; Lightning chooses alike."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters are, and what it is given has to be."""
    return next(module.parameters()).device


def mixed_precision(device_type: str, wanted: bool) -> torch.autocast:
    """Context in which a forward pass runs in bfloat16, if wanted and if that is faster.

    Args:
        device_type: 'cpu' or 'cuda'.
        wanted: what the options say.
    """
    return torch.autocast(device_type, torch.bfloat16, wanted and computes_in_bfloat16(device_type))


def computes_in_bfloat16(device_type: str) -> bool:
    """Whether a device has instructions for bfloat16; a CPU without them is many times slower."""
    return device_type != "cpu" or torch.cpu._is_avx512_bf16_supported()
