"""One way to train every module: Lightning, with exact resume at epoch boundaries.

Processes that work as one (`companion.engine.processes`) train one module: each is given its share of every
batch, gradients are averaged, and statistics of batch normalisation are those of the whole batch.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from torch import Tensor

from ccl.batch_norm import SharedBatchNorms
from ccl.checkpoints import LAST, TwoCheckpoints, newest_whole
from ccl.collectives import averaged
from ccl.devices import fast_matrix_products, fastest_device
from ccl.errors import TrainingError
from ccl.loading import on_the_way
from companion.engine import processes
from companion.engine.processes import Share, whole
from companion.engine.runs import CHECKPOINTS, HISTORY_FILE

logger = logging.getLogger(__name__)

READ_EVERY = 50  # steps; a GPU's host waits for what it reads


class EpochBatches(Protocol):
    """Batches that depend on the epoch only, so that a resumed run sees what it would have seen."""

    def epoch(self, epoch: int, share: Share = whole) -> Iterable[Any]:
        """The batches of one epoch, in order: of each the share that a process trains on.

        Which rows a batch has is drawn for the whole of it; only the share is read.
        """
        ...

    def __len__(self) -> int:
        """Batches per epoch."""
        ...


def fit(
    module: lightning.LightningModule,
    batches: EpochBatches,
    *,
    epochs: int,
    folder: Path,
    seed: int,
    on_epoch_end: Callable[[int], dict[str, float]] | None = None,
) -> pd.DataFrame:
    """Trains a module, continuing from the checkpoint in `folder` where there is one.

    Of processes that work as one, all call it. How many there are may change when a killed
    training goes on.

    Args:
        module: logs its metrics with `self.log(..., on_epoch=True)`.
        batches: the training batches of each epoch.
        epochs: number of epochs.
        folder: receives `checkpoints/` (`ccl.checkpoints`), and `history.csv` if training cannot
            go on. `companion.engine.runs.forget_checkpoints` deletes the former, once the results are whole.
        seed: seeds what the module draws from the global generators, per epoch.
        on_epoch_end: extra metrics, called with the epoch after it was trained.

    Returns:
        One row per epoch: `epoch`, `seconds` and the logged metrics.

    Raises:
        TrainingError: the loss is not finite, or the module says that it cannot go on; names the
            file with the history so far.
        ValueError: a batch cannot be shared evenly among the processes.
        DiskFullError: there is no room for a checkpoint.
    """
    checkpoints = ModelCheckpoint(
        folder / CHECKPOINTS,
        filename=Path(LAST).stem,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    history = _History(seed, on_epoch_end)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator=fastest_device().type,
        devices=processes.count() // processes.nodes(),
        num_nodes=processes.nodes(),
        strategy="auto" if processes.count() == 1 else "ddp",
        plugins=_plugins(),
        logger=False,
        # The checkpoint of an epoch must hold that epoch's row, and none that is not finite.
        callbacks=[_Guard(folder), history, checkpoints, TQDMProgressBar(refresh_rate=20)],
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
    )
    start = processes.told(newest_whole(folder / CHECKPOINTS) if processes.is_first() else None)
    if start is not None:
        logger.info("continuing from %s", start)
    try:
        with fast_matrix_products(fastest_device().type):
            trainer.fit(
                module,
                datamodule=_EpochData(batches),
                ckpt_path=start,
                weights_only=True,
            )
    except TrainingError as error:
        file = folder / HISTORY_FILE
        if processes.is_first():
            pd.DataFrame(history.rows).to_csv(file, index=False)
        processes.wait(processes.LONGEST_FAREWELL)  # the first to end takes the others with it
        raise TrainingError(f"{error} Its history so far is kept in {file}.") from error
    return pd.DataFrame(history.rows)


def _plugins() -> list[Any]:
    shared = [SharedBatchNorms()] if processes.count() > 1 else []
    return [processes.environment(), TwoCheckpoints(), *shared]


class _EpochData(lightning.LightningDataModule):
    def __init__(self, batches: EpochBatches) -> None:
        super().__init__()
        self.batches = batches

    def train_dataloader(self) -> Any:
        assert self.trainer is not None
        return _Epoch(self.batches, self.trainer.current_epoch)


class _Epoch:
    """One epoch as the sized iterable that Lightning expects."""

    def __init__(self, batches: EpochBatches, epoch: int) -> None:
        self.batches, self.epoch = batches, epoch

    def __iter__(self) -> Any:
        batches = self.batches.epoch(self.epoch, processes.share)
        return on_the_way(batches, fastest_device())

    def __len__(self) -> int:
        return len(self.batches)


class _History(Callback):
    """Rows of metrics, kept in the checkpoint so that a resumed run has its whole history."""

    def __init__(self, seed: int, on_epoch_end: Callable[[int], dict[str, float]] | None) -> None:
        self.rows: list[dict[str, float]] = []
        self.seed, self.extra = seed, on_epoch_end
        self.clock = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        key = [self.seed, trainer.current_epoch, *processes.apart()]
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
        self.clock = time.perf_counter()

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        row: dict[str, float] = {
            "epoch": trainer.current_epoch,
            "seconds": time.perf_counter() - self.clock,
        }
        row |= {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self.extra is not None:
            row |= self.extra(trainer.current_epoch)
        self.rows.append(row)


class _Guard(Callback):
    """Stops a training whose loss is not a number, at the latest at the end of the epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.losses: list[Tensor] = []  # of the last steps, not read yet

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        self.losses.append(loss.detach())
        if len(self.losses) == READ_EVERY:
            self._read(trainer)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        if self.losses:
            self._read(trainer)

    def _read(self, trainer: Any) -> None:
        losses = averaged(torch.stack(self.losses))  # all stop at the same step
        first = trainer.global_step - len(self.losses) + 1
        self.losses.clear()
        for step, loss in enumerate(losses.cpu().tolist(), first):
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss is {loss} in epoch {trainer.current_epoch}, step {step}; the last "
                    f"good checkpoint is kept in {self.folder / CHECKPOINTS}. Lower the learning "
                    "rate or the gradient clip."
                )
