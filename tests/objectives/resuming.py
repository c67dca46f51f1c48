"""A training that is killed and started again, beside one that nobody disturbs."""

from collections.abc import Callable
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from torch import Tensor

from ccl.objectives.batches import PairBatches
from ccl.pairs import Pairs
from ccl.views.batch import Batch
from tests.fitting import fit

EPOCHS = 3
States = dict[str, Tensor]


class Killed(RuntimeError):
    """Stands for whatever ends a run."""


def undisturbed_and_resumed(
    make: Callable[[], lightning.LightningModule], batch: Batch, folder: Path, *, killed_in: int
) -> tuple[States, States]:
    """States after training on the images of a batch, once whole and once killed in an epoch."""
    images = torch.cat([batch["a"], batch["b"]]).numpy()
    batches = PairBatches(Pairs("standard", images), np.arange(16), batch_size=8, seed=0)

    def kill(epoch: int) -> dict[str, float]:
        if epoch == killed_in:
            raise Killed
        return {}

    def run(place: Path, on_epoch_end: Callable[[int], dict[str, float]] | None = None) -> States:
        module = make()
        fit(module, batches, epochs=EPOCHS, folder=place, seed=0, on_epoch_end=on_epoch_end)
        return module.state_dict()

    whole = run(folder / "whole")
    with pytest.raises(Killed):
        run(folder / "killed", kill)
    return whole, run(folder / "killed")
