"""What every simulated cohort has in common: its table, its images on disk, its known truth.

A phantom is an explicit structural causal model: exogenous noise of patient and image; the table's
facts and the anatomy drawn from it; radiance from the anatomy; the stored image from radiance,
scanner and the sensor's noise. The noise is kept (it is made again from the seed), so the true
counterfactual of every image is known.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
from pydantic import Field
from tqdm import tqdm

from companion.cohorts.checksum import checksum
from companion.cohorts.cohort import ATTRIBUTE, COLUMNS, FORMAT, SPLITS
from companion.cohorts.simulation.draws import Exogenous
from companion.cohorts.simulation.scanner_shares import ScannerShares
from companion.cohorts.simulation.scanners import render
from companion.engine import storage
from companion.engine.files import write_atomically

_CHUNK_PIXELS = 2**18  # pixels made at once by one thread: fits the cache, memory stays flat


class PhantomOptions(ScannerShares):
    """What all phantoms are asked; sizes are numbers of images, `name` is of the cohort."""

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
    def sexes(self) -> tuple[str, ...]:
        """Sexes of its patients; with one, do(sex) cannot be asked."""
        raise NotImplementedError

    @property
    def caveats(self) -> tuple[str, ...]:
        """What a reader must know of these options, besides the simulator's own caveats."""
        return ()


AnyOptions = TypeVar("AnyOptions", bound=PhantomOptions)


@dataclass(frozen=True)
class Phantom(Generic[AnyOptions]):
    """What makes a simulator besides the machinery of this module.

    Attributes:
        name: of the source, and of a cohort that is given none.
        options: its class of options.
        classes: names of the labels.
        caveats, citation: shown wherever the cohort is used.
        exogenous: (seed, stream, patients, images, frame) to their noise.
        facts: columns sex, age, view, label and perhaps attribute, from noise alone.
        radiance: image before any scanner, (n, H, W) in [0, 1], of table rows and their noise.
        label: (n,) labels of table rows and their noise, where they follow from other variables.
        variables: what may be intervened on besides the scanner, with its values.
    """

    name: str
    options: type[AnyOptions]
    classes: tuple[str, ...]
    caveats: tuple[str, ...]
    citation: str
    exogenous: Callable[[int, int, np.ndarray, np.ndarray, tuple[int, int]], Exogenous]
    facts: Callable[[AnyOptions, Exogenous], Mapping[str, Any]]
    radiance: Callable[[AnyOptions, Exogenous, pd.DataFrame], np.ndarray]
    label: Callable[[AnyOptions, Exogenous, pd.DataFrame], np.ndarray] | None = None
    variables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def build(phantom: Phantom[AnyOptions], options: AnyOptions, folder: Path) -> None:
    """Simulates a cohort and writes its folder, completely or not at all.

    Args:
        phantom: the simulator.
        options: what to simulate.
        folder: where the cohort will lie; must not exist.

    Raises:
        FileExistsError: `folder` is there already.
    """
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"'{folder}' exists already: remove it to simulate the cohort anew")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a killed run; remade in seconds
    partial.mkdir(parents=True)
    try:
        table = _table(phantom, options)
        images = _write_images(phantom, options, table, partial / "images.npy")
        table.to_parquet(partial / "table.parquet", index=False)
        info = _info(phantom, options, table, checksum(images, table))
        write_atomically(partial / "cohort.json", json.dumps(info, indent=1) + "\n")
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def counterfactual(
    phantom: Phantom[AnyOptions],
    info: Mapping[str, Any],
    table_rows: pd.DataFrame,
    do: Mapping[str, str],
    *,
    noise: bool = True,
) -> np.ndarray:
    """True counterfactuals: same exogenous noise, other scanner or other of `phantom.variables`.

    Args:
        phantom: the simulator.
        info: the parsed `cohort.json`.
        table_rows: n rows of the cohort's table.
        do: variables to values, held-out scanners too; empty remakes the images.
        noise: with the image's own sensor noise, or without any.

    Returns:
        uint8 (n, H, W).

    Raises:
        ValueError: `do` names an unknown variable or value.
    """
    options = _options(phantom, info, do)
    images = np.empty((len(table_rows), *options.frame), np.uint8)
    _fill(images, phantom, options, table_rows.assign(**do), noise=noise)
    return images


def true_labels(
    phantom: Phantom[AnyOptions],
    info: Mapping[str, Any],
    table_rows: pd.DataFrame,
    do: Mapping[str, str],
) -> np.ndarray:
    """Labels int64 (n,) that follow from an intervention; arguments as `counterfactual`'s."""
    options, labels = _options(phantom, info, do), table_rows["label"].to_numpy().copy()
    if phantom.label is not None:
        for part, split in _by(table_rows, "split"):
            own = table_rows.iloc[part].assign(**do)
            noise = _noise(phantom, options, split, own, (1, 1))
            labels[part] = phantom.label(options, noise, own)
    return labels


def _options(
    phantom: Phantom[AnyOptions], info: Mapping[str, Any], do: Mapping[str, str]
) -> AnyOptions:
    """The options of a cohort, once an intervention is checked against them."""
    options = phantom.options(**info["source_options"])
    check_do(do, {"scanner": options.every_scanner, **phantom.variables})
    return options


def check_do(do: Mapping[str, str], allowed: Mapping[str, tuple[str, ...]]) -> None:
    """Checks an intervention.

    Raises:
        ValueError: it names an unknown variable or value.
    """
    for variable, value in do.items():
        if variable not in allowed:
            raise ValueError(f"do '{variable}': it is one of {sorted(allowed)}")
        if value not in allowed[variable]:
            raise ValueError(f"do {variable} = '{value}': it is one of {allowed[variable]}")


def _table(phantom: Phantom[AnyOptions], options: AnyOptions) -> pd.DataFrame:
    n_test = options.n_test_per_scanner * len(options.every_scanner)
    sizes = zip(SPLITS, (options.n_train, options.n_val, n_test), strict=True)
    parts = [_split_table(phantom, options, split, n) for split, n in sizes]
    return pd.concat(parts, ignore_index=True)


def _split_table(
    phantom: Phantom[AnyOptions], options: AnyOptions, split: str, n: int
) -> pd.DataFrame:
    patients, stream = _patients(options.seed, split, n), SPLITS.index(split)
    facts = []
    for rows in _chunks(n, 1024):
        # One pixel will do: the draws needed here come before those that depend on the size.
        noise = phantom.exogenous(options.seed, stream, patients[rows], np.arange(n)[rows], (1, 1))
        facts.append(pd.DataFrame(phantom.facts(options, noise)))
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


def _info(
    phantom: Phantom[AnyOptions], options: AnyOptions, table: pd.DataFrame, digest: str
) -> dict[str, Any]:
    classes = phantom.classes
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for split, scanner, label in table[["split", "scanner", "label"]].itertuples(index=False):
        cell = counts.setdefault(split, {}).setdefault(scanner, dict.fromkeys(classes, 0))
        cell[classes[label]] += 1
    return {
        "format": FORMAT,
        "name": options.name or phantom.name,
        "source": phantom.name,
        "source_options": options.model_dump(mode="json"),
        "scanners": list(options.scanners),
        "held_out_scanners": list(options.held_out_scanners),
        "classes": list(classes),
        "positive_label": classes[1],
        "height": options.frame[0],
        "width": options.frame[1],
        "preprocessing": {},
        "counts": counts,
        "skipped": [],
        "checksum": digest,
        "caveats": [*phantom.caveats, *options.caveats],
        "citation": phantom.citation,
    }


def _write_images(
    phantom: Phantom[AnyOptions], options: AnyOptions, table: pd.DataFrame, path: Path
) -> np.ndarray:
    shape = (len(table), *options.frame)
    images = storage.create_npy(path, shape)
    _fill(images, phantom, options, table, noise=True)
    images.flush()
    return images


def _fill(
    images: np.ndarray,
    phantom: Phantom[AnyOptions],
    options: AnyOptions,
    table: pd.DataFrame,
    *,
    noise: bool,
) -> None:
    """Simulates the rows of a table into `images`, on all cores."""

    def simulate(rows: slice) -> int:
        images[rows] = _simulate(phantom, options, table.iloc[rows], noise=noise)
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


def _simulate(
    phantom: Phantom[AnyOptions], options: AnyOptions, rows: pd.DataFrame, *, noise: bool
) -> np.ndarray:
    images = np.empty((len(rows), *options.frame), np.uint8)
    for part, split, scanner in _by(rows, "split", "scanner"):
        own = rows.iloc[part]
        u = _noise(phantom, options, split, own, options.frame)
        radiance = phantom.radiance(options, u, own)
        images[part] = render(radiance, options.settings(scanner), u.sensor if noise else None)
    return images


def _by(rows: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Positions of the rows with equal values in some columns, and these values."""
    for values in dict.fromkeys(zip(*(rows[column] for column in columns), strict=True)):
        same = [(rows[c] == v).to_numpy() for c, v in zip(columns, values, strict=True)]
        yield np.flatnonzero(np.logical_and.reduce(same)), *values


def _noise(
    phantom: Phantom[AnyOptions],
    options: AnyOptions,
    split: str,
    rows: pd.DataFrame,
    frame: tuple[int, int],
) -> Exogenous:
    """The noise of table rows of one split."""
    patients, images = _number(rows["patient_id"]), _number(rows["image_id"])
    return phantom.exogenous(options.seed, SPLITS.index(split), patients, images, frame)


def _number(ids: pd.Series) -> np.ndarray:
    """The numbers that patients' and images' ids end in: they key the noise."""
    return ids.str.rsplit("-", n=1).str[-1].astype(int).to_numpy()
