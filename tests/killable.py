"""Small steps that stop for ever at a delicate point, for a parent to kill them there."""

import os
import time
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np

from companion.cohorts import bank as banks
from companion.cohorts.cohort import Cohort
from companion.cohorts.registry import build
from companion.cohorts.simulation.phantom_chest import PhantomChestOptions
from companion.engine import storage
from companion.engine.runs import Run, Step
from tests.fitting import fit
from tests.test_training import Batches, Line

REACHED = "reached"  # file beside the runs that says so


def stop(root: Path) -> NoReturn:
    """Says that the point is reached, and waits to be killed."""
    (root / REACHED).touch()
    while True:
        time.sleep(60)


def bank(root: Path) -> Run:
    """A bank of true counterfactuals in three batches."""
    images = root.parent / "images"
    if not images.exists():
        options = PhantomChestOptions(size=32, n_train=600, n_val=30, n_test_per_scanner=20)
        build(options, None, images)

    def compute(folder: Path) -> None:
        banks.make_from_truth(Cohort.load(images), banks.BankOptions(), folder)

    return Step(root, "bank", {}, {}, ("ccl.pairs",)).run(compute)


def stop_bank(root: Path) -> None:
    """In the middle of writing the second batch."""
    write, done = banks._write_batch, list[int]()

    def half(made: BinaryIO, at: int, batch: np.ndarray) -> None:
        if done:
            write(made, at, batch[: len(batch) // 2])
            stop(root)
        done.append(at)
        write(made, at, batch)

    banks._write_batch = half
    bank(root)


def training(root: Path) -> Run:
    """Five epochs."""

    def compute(folder: Path) -> None:
        line = Line()
        history = fit(line, Batches(), epochs=5, folder=folder, seed=1)
        storage.write_safetensors(folder / "line.safetensors", line.state_dict())
        history.drop(columns="seconds").to_csv(folder / "history.csv", index=False)

    return Step(root, "training", {}, {}, ("ccl.pairs",)).run(compute)


def stop_training(root: Path) -> None:
    """In the middle of writing the checkpoint of the third epoch."""
    synchronise, done = os.fsync, list[int]()

    def never(file: int) -> None:
        done.append(file)
        if len(done) == 3:
            stop(root)
        synchronise(file)

    os.fsync = never
    training(root)
