"""Where models run."""

import torch


def fastest_device() -> torch.device:
    """The GPU where there is one, otherwise the CPU; Lightning chooses alike."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
