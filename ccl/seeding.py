"""Random numbers for one purpose at one moment, independent of everything else."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from ccl import distributed


def epoch_rng(seed: int, epoch: int, purpose: str) -> np.random.Generator:
    """NumPy generator for one purpose in one epoch, independent of everything else."""
    return np.random.default_rng([seed, epoch, *purpose.encode()])


def step_generator(
    seed: int, step: int, purpose: str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Torch generator for one purpose in one training step, independent of everything else.

    Also of the other processes that train along, which draw for their share of the batch.
    """
    key = [seed, step, *purpose.encode(), *distributed.rank_seed()]
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator(device=device).manual_seed(int(state[0] >> 1))


def fair_coins(rows: int, seed: int, step: int, purpose: str) -> torch.Tensor:
    """One coin, bool (rows,), for each row of this process's share of a batch in a training step.

    A row's coin is the same however many processes share the batch.
    """
    coins = np.random.default_rng([seed, step, *purpose.encode()])
    whole = coins.random((distributed.world_size(), rows)) < 0.5
    return torch.from_numpy(whole[distributed.rank()])


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Context in which torch's generators start from a seed; they then go on as before."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
