"""Simulated scanners over real images: real anatomy, known truth.

Beside `images.npy` such a cohort has `frames.npy`, the images as they were read and resized,
uint8 (N, H, W). Rendering those on another scanner, with the same sensor noise, is the true
counterfactual.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from companion.cohorts.cohort import SPLITS, Cohort
from companion.cohorts.simulation.draws import keyed_rng
from companion.cohorts.simulation.scanner_shares import SimulatedScanners
from companion.cohorts.simulation.scanners import render
from companion.engine import storage

FRAMES = "frames.npy"
CAVEATS = (
    "The scanners are simulated: rendering pipelines put over images that really came from "
    "elsewhere. The anatomy is real, the difference between scanners is not.",
    "The simulated scanners are independent of patient and label; real ones rarely are.",
)

_SENSOR = 2  # purpose of the random numbers, see `draws.keyed_rng`
_BATCH = 256  # images rendered at once


def assign_scanners(rows: pd.DataFrame, options: SimulatedScanners) -> pd.Series:
    """The scanner of each row (columns patient_id, split, label), drawn by patient.

    Every class is dealt to the scanners alike: by the shares in train, evenly over the pretraining
    scanners in val and over all scanners in test, so that each of them can be tested.
    """
    patients = rows.groupby("patient_id").agg(split=("split", "first"), label=("label", "max"))
    rng = np.random.default_rng([options.scanner_seed, *b"simulated scanners"])
    shuffled = patients.iloc[rng.permutation(len(patients))].sort_values("label", kind="stable")
    scanner: dict[str, str] = {}
    for split in SPLITS:
        names = shuffled.index[shuffled["split"] == split]
        scanner |= zip(names, options.deal(split, len(names)), strict=True)
    return rows["patient_id"].map(scanner)


def render_cohort(folder: Path, table: pd.DataFrame, options: SimulatedScanners) -> None:
    """Writes `images.npy` of a cohort folder from its `frames.npy`; replaces one that is there."""
    frames = storage.read_npy(folder / FRAMES)
    images = storage.create_npy(folder / "images.npy", frames.shape)
    for start in range(0, len(table), _BATCH):
        rows = slice(start, start + _BATCH)
        images[rows] = _render(frames[rows], table.iloc[rows], options, noise=True)
    images.flush()


def counterfactual(
    options: SimulatedScanners,
    cohort: Cohort,
    rows: np.ndarray,
    do: Mapping[str, str],
    *,
    noise: bool = True,
) -> np.ndarray:
    """True counterfactuals, uint8 (n, H, W): the same image and sensor noise, another scanner.

    Args:
        options: those that the cohort was made with.
        cohort: has `frames.npy` in its folder.
        rows: (n,) row indices.
        do: 'scanner' to one of the cohort's, held-out ones too; {} remakes the images.
        noise: with the image's own sensor noise, or without any.

    Raises:
        FileNotFoundError: `frames.npy` is missing.
        ValueError: `do` names an unknown variable or value.
    """
    path = cohort.folder / FRAMES
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: no true counterfactual; import again")
    options.check(do)
    frames = storage.read_npy(path)[rows]
    return _render(frames, cohort.table.iloc[rows].assign(**do), options, noise=noise)


def _render(
    frames: np.ndarray, rows: pd.DataFrame, options: SimulatedScanners, *, noise: bool
) -> np.ndarray:
    images = np.empty(frames.shape, np.uint8)
    scanners, ids = rows["scanner"].to_numpy(), rows["image_id"].to_numpy()
    for scanner in dict.fromkeys(scanners):
        own = np.flatnonzero(scanners == scanner)
        field = _noise(ids[own], frames.shape[1:], options.scanner_seed) if noise else None
        radiance = (frames[own] / np.float32(255)) ** np.float32(options.display_gamma)
        images[own] = render(radiance, options.settings(scanner), field)
    return images


def _noise(ids: np.ndarray, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Sensor noise (n, H, W), keyed by the image's id: which others are imported is no matter."""
    keys = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") for name in ids]
    drawn = (keyed_rng(seed, 0, _SENSOR, key) for key in keys)
    return np.stack([g.standard_normal(shape, np.float32) for g in drawn])
