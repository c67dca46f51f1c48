"""Random numbers for one purpose at one moment, independent of everything else."""

import numpy as np
import torch

from ccl import processes


def epoch_rng(seed: int, epoch: int, purpose: str) -> np.random.Generator:
    """NumPy generator for one purpose in one epoch, independent of everything else."""
    return np.random.default_rng([seed, epoch, *purpose.encode()])


def step_generator(
    seed: int, step: int, purpose: str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Torch generator for one purpose in one training step, independent of everything else.

    Also of the other processes that train along, which draw for their share of the batch.
    """
    key = [seed, step, *purpose.encode(), *processes.apart()]
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator(device=device).manual_seed(int(state[0] >> 1))
