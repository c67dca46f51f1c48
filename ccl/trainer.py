"""One way to train every module: Lightning, with exact resume at epoch boundaries.

Of processes that train as one (`ccl.distributed`), each is given its share of every batch, whose
gradients are averaged and whose statistics of batch normalisation are shared.
"""

import csv
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import lightning
import numpy as np
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from torch import Tensor

from ccl import distributed
from ccl.batch_norm import SyncBatchNorms
from ccl.checkpoints import LAST, TwoCheckpoints, latest_intact
from ccl.collectives import all_reduce_mean
from ccl.devices import fast_matrix_products, fastest_device
from ccl.distributed import Shard, unsharded
from ccl.errors import TrainingError
from ccl.files import CHECKPOINTS, HISTORY_FILE
from ccl.prefetch import prefetch_pinned

logger = logging.getLogger(__name__)

SHUTDOWN_TIMEOUT = timedelta(seconds=60)  # for rank 0 to write down why all of them end
CHECK_EVERY = 50  # steps; a GPU's host waits for what it reads

History = list[dict[str, float]]  # a row per epoch


class EpochBatches(Protocol):
    """Batches that depend on the epoch only, so that a resumed run sees what it would have seen."""

    def epoch(self, epoch: int, shard: Shard = unsharded) -> Iterable[Any]:
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
    folder: Path | None,
    seed: int,
    on_epoch_end: Callable[[int], dict[str, float]] | None = None,
) -> History:
    """History of a training, which goes on from the checkpoint in `folder` where there is one.

    Of processes that work as one, all call it. How many there are may change when a killed
    training goes on.

    Args:
        module: logs its metrics with `self.log(..., on_epoch=True)`.
        batches: of each epoch.
        epochs: their number.
        folder: receives `checkpoints/` (`ccl.checkpoints`), and `history.csv` if training cannot
            go on. Whoever keeps the results deletes the former. None keeps nothing.
        seed: of what the module draws from the global generators, per epoch.
        on_epoch_end: extra metrics, called with the epoch after it was trained.

    Returns:
        One row per epoch: `epoch`, `seconds` and the logged metrics.

    Raises:
        TrainingError: the loss is not finite, or the module says that it cannot go on; names the
            file with the history so far.
        ValueError: a batch cannot be shared evenly among the processes.
        OSError: there is no room for a checkpoint.
    """
    history, world = _History(seed, on_epoch_end), distributed.world()
    # The checkpoint of an epoch must hold that epoch's row, and none that is not finite.
    callbacks: list[Callback] = [_StopAtNan(folder), history, TQDMProgressBar(refresh_rate=20)]
    start = None
    if folder is not None:
        kept = folder / CHECKPOINTS
        start = distributed.broadcast(latest_intact(kept) if world.rank == 0 else None)
        callbacks.append(
            ModelCheckpoint(
                kept,
                filename=Path(LAST).stem,
                enable_version_counter=False,
                save_on_train_epoch_end=True,
            )
        )
    if start is not None:
        logger.info("continuing from %s", start)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator=fastest_device().type,
        devices=world.size // world.nodes,
        num_nodes=world.nodes,
        strategy="auto" if world.size == 1 else "ddp",
        plugins=[
            world.environment or LightningEnvironment(),
            TwoCheckpoints(),
            *([SyncBatchNorms()] if world.size > 1 else []),
        ],
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=folder is not None,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,  # else a resumed one would begin with another
    )
    try:
        with fast_matrix_products(fastest_device().type):
            trainer.fit(module, _Epochs(batches, trainer), ckpt_path=start, weights_only=True)
    except TrainingError as error:
        if folder is None:
            raise
        file = folder / HISTORY_FILE
        if world.rank == 0:
            save_history(history.rows, file)
        distributed.barrier(SHUTDOWN_TIMEOUT)  # the first to end takes the others with it
        raise TrainingError(f"{error} Its history so far is kept in {file}.") from error
    return history.rows


def save_history(rows: History, path: Path) -> None:
    """Writes a history as CSV, a row per epoch; a metric that an epoch lacks is left empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


class _Epochs:
    """The sized iterable that Lightning goes through in each epoch."""

    def __init__(self, batches: EpochBatches, trainer: lightning.Trainer) -> None:
        self.batches, self.trainer = batches, trainer

    def __iter__(self) -> Iterator[Any]:
        batches = self.batches.epoch(self.trainer.current_epoch, distributed.shard)
        return prefetch_pinned(batches, fastest_device())

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
        key = [self.seed, trainer.current_epoch, *distributed.rank_seed()]
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


class _StopAtNan(Callback):
    """Stops a training whose loss is not a number, at the latest at the end of the epoch."""

    def __init__(self, folder: Path | None) -> None:
        self.kept = (
            f"; the last good checkpoint is kept in {folder / CHECKPOINTS}" if folder else ""
        )
        self.losses: list[Tensor] = []  # of the last steps, not read yet

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        self.losses.append(loss.detach())
        if len(self.losses) == CHECK_EVERY:
            self._read(trainer)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        if self.losses:
            self._read(trainer)

    def _read(self, trainer: Any) -> None:
        losses = all_reduce_mean(torch.stack(self.losses))  # all stop at the same step
        first = trainer.global_step - len(self.losses) + 1
        self.losses.clear()
        for step, loss in enumerate(losses.cpu().tolist(), first):
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss is {loss} in epoch {trainer.current_epoch}, step {step}{self.kept}. "
                    "Lower the learning rate or the gradient clip."
                )
