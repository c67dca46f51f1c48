"""What every simulated cohort has in common: its table, its images on disk, its known truth.

A phantom is an explicit structural causal model: exogenous noise of patient and image; the table's
facts and the anatomy drawn from it; radiance from the anatomy; the stored image from radiance,
scanner and the sensor's noise. The noise is kept (it is made again from the seed), so the true
counterfactual of every image is known.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field
from tqdm import tqdm

from companion.cohorts.cohort import ATTRIBUTE, COLUMNS, SPLITS, describe
from companion.cohorts.simulation.draws import DrawNames, Exogenous, exogenous
from companion.cohorts.simulation.scanner_shares import ScannerShares
from companion.cohorts.simulation.scanners import render
from companion.engine import storage
from companion.engine.files import write_atomically

_CHUNK_PIXELS = 2**18  # pixels made at once by one thread: fits the cache, memory stays flat


class PhantomOptions(ScannerShares):
    """A simulator: what it can be asked, and the mechanisms of its causal model.

    Attributes:
        classes: names of the labels.
        citation: shown wherever the cohort is used.
        sexes: of its patients; with one, do(sex) cannot be asked.
        draws: what is random about a patient and an image.
        name: of the cohort; the source's if there is none.
        n_train, n_val, n_test_per_scanner: numbers of images.
    """

    classes: ClassVar[tuple[str, ...]]
    citation: ClassVar[str]
    sexes: ClassVar[tuple[str, ...]]
    draws: ClassVar[DrawNames]

    source: str
    name: str = ""
    seed: int = Field(default=0, ge=0, lt=2**63)
    n_train: int = Field(default=2400, ge=1)
    n_val: int = Field(default=400, ge=1)
    n_test_per_scanner: int = Field(default=240, ge=1)

    @property
    def frame(self) -> tuple[int, int]:
        """Height and width in pixels."""
        raise NotImplementedError

    @property
    def caveats(self) -> tuple[str, ...]:
        """What a reader of results must know."""
        raise NotImplementedError

    def facts(self, noise: Exogenous) -> Mapping[str, Any]:
        """Columns sex, age, view, label and perhaps attribute, from exogenous noise alone."""
        raise NotImplementedError

    def radiance(self, noise: Exogenous, rows: pd.DataFrame) -> np.ndarray:
        """Images before any scanner, (n, H, W) in [0, 1], of table rows and their noise."""
        raise NotImplementedError

    def labels(self, noise: Exogenous, rows: pd.DataFrame) -> np.ndarray:
        """Labels (n,) of table rows and their noise; the rows' own unless they follow from others.

        Where they do, an intervention changes them.
        """
        return rows["label"].to_numpy()


def build(options: PhantomOptions, folder: Path) -> None:
    """Simulates a cohort and writes its folder, which must not exist, completely or not at all."""
    if folder.exists():
        raise FileExistsError(f"'{folder}' exists already: remove it to simulate the cohort anew")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a killed run; remade in seconds
    partial.mkdir(parents=True)
    try:
        table = _table(options)
        images = storage.create_npy(partial / "images.npy", (len(table), *options.frame))
        _fill(images, options, table, noise=True)
        images.flush()
        table.to_parquet(partial / "table.parquet", index=False)
        info = describe(options, options, images, table, preprocessing={}, skipped=[])
        write_atomically(partial / "cohort.json", json.dumps(info, indent=1) + "\n")
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def counterfactual(
    options: PhantomOptions, rows: pd.DataFrame, do: Mapping[str, str], *, noise: bool = True
) -> np.ndarray:
    """True counterfactuals, uint8 (n, H, W): same exogenous noise under an intervention.

    Args:
        options: those that the cohort was simulated with.
        rows: n rows of its table.
        do: 'scanner' or other `variables` to values, held-out scanners too; {} remakes the images.
        noise: with the image's own sensor noise, or without any.

    Raises:
        ValueError: `do` names an unknown variable or value.
    """
    options.check(do)
    images = np.empty((len(rows), *options.frame), np.uint8)
    _fill(images, options, rows.assign(**do), noise=noise)
    return images


def true_labels(options: PhantomOptions, rows: pd.DataFrame, do: Mapping[str, str]) -> np.ndarray:
    """Labels, int64 (n,), under an intervention; arguments as `counterfactual`'s."""
    options.check(do)
    labels = np.empty(len(rows), np.int64)
    for split, own in rows.reset_index(drop=True).assign(**do).groupby("split"):
        labels[own.index.to_numpy()] = options.labels(_noise(options, str(split), own, (1, 1)), own)
    return labels


def _table(options: PhantomOptions) -> pd.DataFrame:
    n_test = options.n_test_per_scanner * len(options.every_scanner)
    sizes = zip(SPLITS, (options.n_train, options.n_val, n_test), strict=True)
    parts = [_split_table(options, split, n) for split, n in sizes]
    return pd.concat(parts, ignore_index=True)


def _split_table(options: PhantomOptions, split: str, n: int) -> pd.DataFrame:
    patients, stream = _patients(options.seed, split, n), SPLITS.index(split)
    facts = []
    for rows in _chunks(n, 1024):
        # One pixel will do: the draws needed here come before those that depend on the size.
        keys = options.seed, stream, patients[rows], np.arange(n)[rows]
        noise = exogenous(options.draws, *keys, (1, 1))
        facts.append(pd.DataFrame(options.facts(noise)))
    table = pd.concat(facts, ignore_index=True).assign(
        image_id=[f"phantom-{split}-{i:06d}" for i in range(n)],
        patient_id=[f"phantom-patient-{split}-{p:06d}" for p in patients],
        split=split,
        scanner=options.deal(split, n),
        source_path="",
    )
    return table[[*COLUMNS, *([ATTRIBUTE] if ATTRIBUTE in table else [])]]


def _patients(seed: int, split: str, n: int) -> np.ndarray:
    """Patient of each of n images: most have one, some two or three."""
    u = np.random.Generator(np.random.Philox(key=[seed, 2 + SPLITS.index(split)])).random(n)
    images = 1 + (u > 0.8).astype(int) + (u > 0.95)
    return np.repeat(np.arange(n), images)[:n]


def _fill(images: np.ndarray, options: PhantomOptions, table: pd.DataFrame, *, noise: bool) -> None:
    """Simulates the rows of a table into `images`, on all cores."""

    def simulate(rows: slice) -> int:
        images[rows] = _simulate(options, table.iloc[rows], noise=noise)
        return rows.stop - rows.start

    height, width = options.frame
    chunks = _chunks(len(table), max(1, _CHUNK_PIXELS // (height * width)))
    # disable=None: a bar on a terminal only
    bar = tqdm(total=len(table), desc="simulating", unit="image", leave=False, disable=None)
    with ThreadPoolExecutor(os.cpu_count()) as pool, bar:
        for n in pool.map(simulate, chunks):
            bar.update(n)


def _chunks(n: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _simulate(options: PhantomOptions, rows: pd.DataFrame, *, noise: bool) -> np.ndarray:
    images = np.empty((len(rows), *options.frame), np.uint8)
    for _, own in rows.reset_index(drop=True).groupby(["split", "scanner"]):
        split, scanner = own[["split", "scanner"]].iloc[0]
        u = _noise(options, split, own, options.frame)
        sensor = u.sensor if noise else None
        rendered = render(options.radiance(u, own), options.settings(scanner), sensor)
        images[own.index.to_numpy()] = rendered
    return images


def _noise(
    options: PhantomOptions, split: str, rows: pd.DataFrame, frame: tuple[int, int]
) -> Exogenous:
    """The noise of table rows of one split."""
    patients, images = _number(rows["patient_id"]), _number(rows["image_id"])
    return exogenous(options.draws, options.seed, SPLITS.index(split), patients, images, frame)


def _number(ids: pd.Series) -> np.ndarray:
    """The numbers (n,) at the end of ids of patients or images, which key the noise."""
    return ids.str.rsplit("-", n=1).str[-1].astype(int).to_numpy()
