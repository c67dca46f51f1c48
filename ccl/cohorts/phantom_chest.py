"""Simulated chest radiographs whose true counterfactuals are known.

The structural causal model: exogenous noise of patient and image; sex, age and finding drawn from
it, independent of each other and of the scanner; anatomy from noise, sex and age; radiance from
anatomy and finding; the stored image from radiance, scanner and the sensor's noise.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator
from tqdm import tqdm

from ccl.cohorts.checksum import checksum
from ccl.cohorts.chest_anatomy import Exogenous, exogenous, radiance
from ccl.cohorts.cohort import COLUMNS, FORMAT, SEXES, SPLITS
from ccl.cohorts.scanners import SCANNERS, Regime, render
from ccl.options import Options

CLASSES = ("no finding", "pneumonia")
CAVEATS = (
    "Simulated images: geometric shapes and smooth textures, not patients. Nothing found on them "
    "is a statement about real radiographs, scanners or pneumonia.",
    "The regime 'strong' makes the scanners differ by more than the classes do, on purpose: that "
    "is what the method presupposes. Real scanners may differ less.",
    "Scanner, sex and finding are independent of each other; in real cohorts they rarely are.",
)
CITATION = "Simulated by ccl.cohorts.phantom_chest; no publication and no patients behind it."

_CHUNK_PIXELS = 2**18  # pixels made at once by one thread: fits the cache, memory stays flat
_GOLDEN = (5**0.5 - 1) / 2


class PhantomChestOptions(Options):
    """What to simulate; see `CAVEATS` for what it is not."""

    source: Literal["phantom-chest"] = "phantom-chest"
    size: int = Field(default=64, ge=32, le=256)  # height and width, pixels
    seed: int = Field(default=0, ge=0, lt=2**63)
    n_train: int = Field(default=2400, ge=1)
    n_val: int = Field(default=400, ge=1)
    n_test_per_scanner: int = Field(default=240, ge=1)
    regime: Regime = "strong"  # how far the scanners lie apart
    # Pretraining scanners and their shares of the training images; the others are held out.
    shares: dict[str, float] = Field(default={"Aurora": 0.6, "Boreal": 0.3, "Cirrus": 0.1})
    prevalence: float = Field(default=0.35, gt=0, lt=1)
    lesion_contrast: tuple[float, float] = (0.07, 0.24)  # in units of radiance

    @field_validator("shares")
    @classmethod
    def _shares_are_shares(cls, shares: dict[str, float]) -> dict[str, float]:
        known = sorted(SCANNERS["strong"])
        if unknown := sorted(set(shares) - set(known)):
            raise ValueError(f"shares: scanner {unknown} is unknown; known are {known}")
        if len(shares) < 2 or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError(f"shares {shares}: expected two or more, above 0, that sum to 1")
        return shares

    @field_validator("lesion_contrast")
    @classmethod
    def _contrast_is_a_range(cls, contrast: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= contrast[0] <= contrast[1] <= 1:
            raise ValueError(f"lesion_contrast {contrast}: expected 0 <= low <= high <= 1")
        return contrast

    @property
    def scanners(self) -> tuple[str, ...]:
        """Pretraining scanners."""
        return tuple(self.shares)

    @property
    def held_out_scanners(self) -> tuple[str, ...]:
        """Scanners that appear in the test split only."""
        return tuple(name for name in SCANNERS[self.regime] if name not in self.shares)


def build(
    options: PhantomChestOptions,
    data_root: Path | None,
    folder: Path,
    on_bad_image: str = "error",
) -> None:
    """Simulates a cohort and writes its folder, completely or not at all.

    Args:
        options: what to simulate.
        data_root: not used, nothing is read.
        folder: where the cohort will lie; must not exist.
        on_bad_image: not used, there are none.

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
        table = _table(options)
        images = _write_images(options, table, partial / "images.npy")
        table.to_parquet(partial / "table.parquet", index=False)
        info = _info(options, table, checksum(images, table))
        (partial / "cohort.json").write_text(json.dumps(info, indent=1) + "\n")
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def truth(
    info: Mapping[str, Any],
    table_rows: pd.DataFrame,
    do: Mapping[str, str],
    *,
    noise: bool = True,
) -> np.ndarray:
    """True counterfactuals: same exogenous noise, other scanner or sex.

    Args:
        info: the parsed `cohort.json`.
        table_rows: n rows of the cohort's table.
        do: values of 'scanner' (also held-out ones) and/or 'sex'; empty remakes the images.
        noise: with the image's own sensor noise, or without any.

    Returns:
        uint8 (n, H, W).

    Raises:
        ValueError: `do` names an unknown variable or value.
    """
    options = PhantomChestOptions(**info["source_options"])
    allowed = {"scanner": tuple(SCANNERS[options.regime]), "sex": SEXES}
    for variable, value in do.items():
        if variable not in allowed:
            raise ValueError(f"do '{variable}': it is one of {sorted(allowed)}")
        if value not in allowed[variable]:
            raise ValueError(f"do {variable} = '{value}': it is one of {allowed[variable]}")
    images = np.empty((len(table_rows), options.size, options.size), np.uint8)
    _fill(images, options, table_rows.assign(**do), noise=noise)
    return images


def _table(options: PhantomChestOptions) -> pd.DataFrame:
    every = tuple(SCANNERS[options.regime])
    n_test = options.n_test_per_scanner * len(every)
    shares = np.array(list(options.shares.values()))
    # A Kronecker sequence: every stretch of it has the shares, however many images there are.
    train = np.searchsorted(np.cumsum(shares), np.arange(options.n_train) * _GOLDEN % sum(shares))
    parts = (
        _split_table(options, "train", [options.scanners[k] for k in train]),
        _split_table(options, "val", _in_turn(options.scanners, options.n_val)),
        _split_table(options, "test", _in_turn(every, n_test)),
    )
    return pd.concat(parts, ignore_index=True)


def _in_turn(names: tuple[str, ...], n: int) -> list[str]:
    return [names[i % len(names)] for i in range(n)]


def _split_table(options: PhantomChestOptions, split: str, scanners: list[str]) -> pd.DataFrame:
    n = len(scanners)
    patients = _patients(options.seed, split, n)
    sex, age, label = [], [], []
    for rows in _chunks(n, 1024):
        # One pixel will do: the draws needed here come before those that depend on the size.
        noise = exogenous(options.seed, SPLITS.index(split), patients[rows], np.arange(n)[rows], 1)
        sex.append(np.where(noise.patient["sex"].reshape(-1) < 0.5, *SEXES))
        age.append(np.floor(20 + 70 * noise.patient["age"].reshape(-1).astype(float)))
        label.append(noise.image["label"].reshape(-1) < options.prevalence)
    return pd.DataFrame(
        {
            "image_id": [f"phantom-{split}-{i:06d}" for i in range(n)],
            "patient_id": [f"phantom-patient-{split}-{p:06d}" for p in patients],
            "split": split,
            "scanner": scanners,
            "sex": np.concatenate(sex),
            "age": np.concatenate(age),
            "view": "PA",
            "label": np.concatenate(label).astype(np.int64),
            "source_path": "",
        },
        columns=list(COLUMNS),
    )


def _patients(seed: int, split: str, n: int) -> np.ndarray:
    """Patient of each of n images: most have one, some two or three."""
    u = np.random.Generator(np.random.Philox(key=[seed, 2 + SPLITS.index(split)])).random(n)
    images = 1 + (u > 0.8).astype(int) + (u > 0.95)
    return np.repeat(np.arange(n), images)[:n]


def _info(options: PhantomChestOptions, table: pd.DataFrame, digest: str) -> dict[str, Any]:
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for split, scanner, label in table[["split", "scanner", "label"]].itertuples(index=False):
        classes = counts.setdefault(split, {}).setdefault(scanner, dict.fromkeys(CLASSES, 0))
        classes[CLASSES[label]] += 1
    return {
        "format": FORMAT,
        "name": "phantom-chest",
        "source": "phantom-chest",
        "source_options": options.model_dump(mode="json"),
        "scanners": list(options.scanners),
        "held_out_scanners": list(options.held_out_scanners),
        "classes": list(CLASSES),
        "positive_label": CLASSES[1],
        "height": options.size,
        "width": options.size,
        "preprocessing": {},
        "counts": counts,
        "skipped": [],
        "checksum": digest,
        "caveats": list(CAVEATS),
        "citation": CITATION,
    }


def _write_images(options: PhantomChestOptions, table: pd.DataFrame, path: Path) -> np.ndarray:
    shape = (len(table), options.size, options.size)
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    _fill(images, options, table, noise=True)
    images.flush()
    return images


def _fill(
    images: np.ndarray, options: PhantomChestOptions, table: pd.DataFrame, *, noise: bool
) -> None:
    """Simulates the rows of a table into `images`, on all cores."""

    def simulate(rows: slice) -> int:
        images[rows] = _simulate(options, table.iloc[rows], noise=noise)
        return rows.stop - rows.start

    chunks = _chunks(len(table), max(1, _CHUNK_PIXELS // options.size**2))
    # disable=None: a bar on a terminal only
    bar = tqdm(total=len(table), desc="simulating", unit="image", leave=False, disable=None)
    with ThreadPoolExecutor(os.cpu_count()) as pool, bar:
        for n in pool.map(simulate, chunks):
            bar.update(n)


def _chunks(n: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _simulate(options: PhantomChestOptions, rows: pd.DataFrame, *, noise: bool) -> np.ndarray:
    images = np.empty((len(rows), options.size, options.size), np.uint8)
    split_of, scanner_of = rows["split"].to_numpy(), rows["scanner"].to_numpy()
    for split, scanner in dict.fromkeys(zip(split_of, scanner_of, strict=True)):
        part = np.flatnonzero((split_of == split) & (scanner_of == scanner))
        u = _noise(options.seed, split, rows.iloc[part], options.size)
        density = radiance(
            u,
            (rows["sex"].iloc[part] == "F").to_numpy(),
            rows["age"].iloc[part].to_numpy(),
            rows["label"].iloc[part].to_numpy() == 1,
            options.lesion_contrast,
        )
        settings = SCANNERS[options.regime][scanner]
        images[part] = render(density, settings, u.sensor if noise else None)
    return images


def _noise(seed: int, split: str, rows: pd.DataFrame, size: int) -> Exogenous:
    """Exogenous noise of some rows of a split; their ids end in the numbers that key it."""
    patients = rows["patient_id"].str.rsplit("-", n=1).str[-1].astype(int).to_numpy()
    images = rows["image_id"].str.rsplit("-", n=1).str[-1].astype(int).to_numpy()
    return exogenous(seed, SPLITS.index(split), patients, images, size)
