"""The counterfactual bank: every image under every value of one variable, made once, on disk."""

import json
import math
import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from pydantic import Field
from tqdm import tqdm

from ccl import distributed
from ccl.options import Options
from companion.cohorts.cohort import Cohort
from companion.cohorts.truths import true_counterfactual
from companion.engine import storage
from companion.engine.files import write_atomically
from companion.engine.mapped import MappedArray, read

if TYPE_CHECKING:
    from ccl.generator.generator import Generator
    from ccl.generator.graph import ImageParents

COUNTERFACTUALS = "counterfactuals.npy"
_PIXELS_PER_BATCH = 2**19  # 128 images of 64 x 64; more at once are no faster


class BankOptions(Options):
    """How the bank is made.

    Attributes:
        variable: the intervened parent; a profile leaves it to the strategy.
        pixel_noise: add the abducted pixel noise back (the paper does).
        batch_size: images per pass.
        bfloat16: decode in mixed precision.
    """

    variable: str = "scanner"
    pixel_noise: bool = True
    batch_size: int = Field(default=64, ge=1)
    bfloat16: bool = False


@dataclass(frozen=True)
class Bank:
    """Images under interventions.

    Attributes:
        images: uint8 (M, K, H, W), memory-mapped; slot k is do(variable = values[k]), and the slot
            of an image's own value holds the real image.
        rows: int64 (M,), the cohort row of each entry.
        position: int64 (N,), the entry of each cohort row, -1 where there is none.
        variable, values: the intervened variable and its K values.
    """

    images: np.ndarray
    rows: np.ndarray
    position: np.ndarray
    variable: str
    values: tuple[str, ...]


def load(folder: Path, cohort: Cohort) -> Bank:
    """The bank of a cohort in a folder; its images are memory-mapped.

    Raises:
        FileNotFoundError: the folder holds no bank.
        ValueError: the bank was made from another cohort.
        DamagedFileError: a file is not what was written.
    """
    if not (folder / "bank.json").is_file():
        raise FileNotFoundError(f"{folder / 'bank.json'} is missing: make the bank first")
    info = storage.read_json(folder / "bank.json")
    if info["cohort"] != cohort.checksum:
        raise ValueError(f"{folder}: made from another cohort than {cohort.folder}; make it again")
    images = storage.read_npy(folder / COUNTERFACTUALS).view(MappedArray)
    rows = np.array(storage.read_npy(folder / "rows.npy"))
    position = np.full(len(cohort), -1, dtype=np.int64)
    position[rows] = np.arange(len(rows))
    return Bank(images, rows, position, info["variable"], tuple(info["values"]))


def make(cohort: Cohort, generator: "Generator", options: BankOptions, folder: Path) -> None:
    """Writes the generator's counterfactuals of all pretraining-scanner images into a folder.

    Each batch is abducted once and predicted for all other values in one pass; the slot of an
    image's own value holds the real image. Finished batches are written behind the computation, and
    a killed job makes only those that are missing. Processes that work as one share them out; how
    many there are does not matter to what is made.

    Raises:
        ValueError: the generator does not know the variable.
        DiskFullError: there is no room for the bank; nothing was computed yet.
    """
    require_variable(options.variable, generator.parents, cohort.name)

    def targets(rows: np.ndarray) -> np.ndarray:
        return all_counterfactuals(cohort, generator, rows, options)

    values = generator.parents.values[options.variable]
    info = {"variable": options.variable, "values": list(values), "source": "generator"}
    _write_bank(cohort, folder, info, targets, options.batch_size)


def require_variable(variable: str, parents: "ImageParents", cohort: str) -> None:
    """Raises a ValueError if a generator with some `parents` cannot make a bank over a variable."""
    if variable not in parents.values:
        raise ValueError(
            f"a bank over {variable} of cohort '{cohort}': its generator knows only "
            f"{list(parents.values)}, since not every image states it, all state the same, or the "
            "profile's graph lacks it. Leave the strategies that need this bank out of the "
            "profile, or complete the table"
        )


def make_from_truth(cohort: Cohort, options: BankOptions, folder: Path) -> None:
    """Writes the simulator's true counterfactuals alike: the bank of the `oracle` strategy.

    Raises:
        LookupError: the cohort is not simulated.
    """
    values = cohort.values(options.variable)

    def targets(rows: np.ndarray) -> np.ndarray:
        truths = [
            true_counterfactual(cohort, rows, {options.variable: value}, noise=options.pixel_noise)
            for value in values
        ]
        made = np.stack(truths, axis=1)
        made[np.arange(len(rows)), cohort.codes(options.variable, rows)] = read(cohort.images, rows)
        return made

    info = {"variable": options.variable, "values": list(values), "source": "truth"}
    _write_bank(cohort, folder, info, targets, 256)


def all_counterfactuals(
    cohort: Cohort, generator: "Generator", rows: np.ndarray, options: BankOptions
) -> np.ndarray:
    """Counterfactuals of some rows (n,) under every other value of the variable.

    Returns:
        uint8 (n, K, H, W); the slot of an image's own value holds the real image.
    """
    from ccl.generator.generator import counterfactuals

    frame, values = cohort.images.shape[1:], generator.parents.values[options.variable]
    made = np.empty((len(rows), len(values), *frame), dtype=np.uint8)
    # Images per pass: a GPU's memory holds few, a CPU's more of small ones.
    on_cpu = generator.device.type == "cpu"
    step = max(options.batch_size, _PIXELS_PER_BATCH // math.prod(frame) if on_cpu else 0)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        made[part] = counterfactuals(
            generator,
            cohort,
            rows[part],
            options.variable,
            pixel_noise=options.pixel_noise,
            bfloat16=options.bfloat16,
        )
    return made


def _write_bank(
    cohort: Cohort,
    folder: Path,
    info: dict[str, Any],
    targets: Callable[[np.ndarray], np.ndarray],
    batch_size: int,
) -> None:
    """Writes a bank; `targets` makes the entries of some rows, `info` says what they are."""
    progress, main = _Progress(folder), distributed.is_main_process()
    file = folder / "bank.json"
    if not distributed.broadcast(file.is_file()):  # else a kill came after the bank
        rows = cohort.rows(scanners="pretraining")
        shape = (len(rows), len(info["values"]), *cohort.images.shape[1:])
        if main:
            _allocate(folder / COUNTERFACTUALS, shape, progress)
        batches = set(range(0, len(rows), batch_size))
        missing = distributed.broadcast(sorted(batches - progress.done()))
        mine = missing[distributed.rank() :: distributed.world_size()]
        bar = tqdm(mine, desc=f"bank ({info['source']})", disable=not main)
        made = ((start, targets(rows[start : start + batch_size])) for start in bar)
        _write_batches(folder / COUNTERFACTUALS, shape, made, progress)
        distributed.barrier()
        if main:
            storage.write_npy(folder / "rows.npy", rows)
            write_atomically(file, json.dumps(info | {"cohort": cohort.checksum}, indent=1))
    if main:
        progress.delete()


def _allocate(path: Path, shape: tuple[int, ...], progress: "_Progress") -> None:
    size = len(storage.npy_header(shape)) + math.prod(shape)
    if not path.is_file() or path.stat().st_size != size:
        progress.delete()  # what it speaks of is not there
    if not progress.files:
        storage.create_npy(path, shape)
        progress.own.touch()


def _write_batches(
    path: Path,
    shape: tuple[int, ...],
    batches: Iterable[tuple[int, np.ndarray]],
    progress: "_Progress",
) -> None:
    """Writes batches, by their first entry, behind the computation of the next."""
    header, entry = len(storage.npy_header(shape)), math.prod(shape[1:])  # bytes
    with path.open("r+b") as file, ThreadPoolExecutor(max_workers=1) as writer:

        def write(start: int, batch: np.ndarray) -> None:
            _write_batch(file, header + start * entry, batch)
            progress.add(start)

        pending: Future[None] | None = None
        for start, batch in batches:
            if pending is not None:
                pending.result()  # at most one batch waits: memory does not grow with the cohort
            pending = writer.submit(write, start, batch)
        if pending is not None:
            pending.result()


def _write_batch(made: BinaryIO, at: int, batch: np.ndarray) -> None:
    # Not through a memory map, which writes whole pages: another machine's entry may share one.
    made.seek(at)
    made.write(batch.tobytes())
    made.flush()
    os.fsync(made.fileno())


class _Progress:
    """Which batches are written: each process appends their first entries to a file of its own.

    Whoever goes on reads those of all, however many there were. A line that was cut off by a kill
    says nothing, and harms none after it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.own = folder / f"progress-{distributed.rank()}.txt"

    @property
    def files(self) -> list[Path]:
        return list(self.folder.glob("progress-*.txt"))

    def delete(self) -> None:
        for file in self.files:
            file.unlink()

    def done(self) -> set[int]:
        text = "".join(file.read_text(encoding="utf-8") for file in self.files)
        return {int(start) for start in re.findall(r"^(\d+) written$", text, re.MULTILINE)}

    def add(self, start: int) -> None:
        with self.own.open("a", encoding="utf-8") as file:
            file.write(f"\n{start} written\n")
