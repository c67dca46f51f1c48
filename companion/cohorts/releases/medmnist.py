"""A grey MedMNIST set, by default PneumoniaMNIST, as published, on simulated scanners.

Reads an npz archive of any image size with `train_images`, `train_labels` and the same for `val`
and `test`. The splits are the publisher's. The set names no scanner, so the scanners are simulated
(`simulated_scanners`); it names no patient either, so every image counts as a patient of its own.

Source: Yang et al., MedMNIST v2, Scientific Data 2023, https://arxiv.org/abs/2110.14795;
PneumoniaMNIST from Kermany et al., Cell 2018: 5,856 paediatric chest radiographs.
"""

import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from math import prod
from pathlib import Path
from typing import IO, ClassVar, Literal, NamedTuple
from zlib import error as ZlibError

import numpy as np
import pandas as pd
from pydantic import Field

from companion.cohorts.cohort import SPLITS
from companion.cohorts.errors import CohortError, ImageError
from companion.cohorts.importing.grey_levels import MAX_PIXELS
from companion.cohorts.importing.image_files import FrameOptions, to_frame
from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.release import ImportOptions, Release
from companion.cohorts.importing.table import LINE, Table
from companion.cohorts.simulation import simulated_scanners
from companion.cohorts.simulation.scanner_shares import SimulatedScanners

RELEASE = Release(
    title="MedMNIST",
    access="https://medmnist.com, free",
    licence="CC BY 4.0",
    needs={"*mnist*.npz": "the archive of images and labels"},
    sexes=(),
    tables=("pneumoniamnist.npz",),
    citation="Yang J, et al. MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D "
    "biomedical image classification. Scientific Data 10:41, 2023. PneumoniaMNIST: Kermany DS, et "
    "al. Identifying medical diagnoses and treatable diseases by image-based deep learning. Cell "
    "172:1122-1131, 2018. CC BY 4.0.",
    caveats=(
        *simulated_scanners.CAVEATS,
        "The publisher names no patients: every image counts as a patient of its own, so intervals "
        "are too narrow where patients have several.",
        "The splits are the publisher's; whether they keep patients apart cannot be checked.",
        "The publisher made the images small before they are resized here: detail is lost.",
    ),
)
# RuntimeError: encrypted, or compressed in a way that Python does not know.
_BROKEN = (zipfile.BadZipFile, ZlibError, OSError, EOFError, ValueError, KeyError, RuntimeError)
_MOST_IMAGES = 1_000_000  # of a split; a small archive can claim far more than memory holds
_MOST_LABELS = 100 * _MOST_IMAGES  # bytes
_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class MedMnistOptions(ImportOptions, SimulatedScanners):
    """How a MedMNIST archive becomes a cohort.

    Attributes:
        archive: npz file in the data root.
        classes: names of the labels 0, 1, ...; of two the second is positive.
    """

    release: ClassVar = RELEASE
    table_option: ClassVar = "archive"
    source: Literal["medmnist"] = "medmnist"
    name: str = "medmnist"
    archive: str = "pneumoniamnist.npz"
    classes: tuple[str, ...] = Field(default=("normal", "pneumonia"), min_length=2)
    shares: dict[str, float] = Field(default={"Aurora": 0.6, "Boreal": 0.3, "Cirrus": 0.1})
    held_out: tuple[str, ...] = ("Dorado", "Eos")


def plan(options: MedMnistOptions, data_root: Path) -> Plan:
    """The images with split, simulated scanner and label; no image is read."""
    archive = NpzArchive(data_root / options.archive)
    if not archive.path.is_file():
        raise CohortError(f"{archive.path} is missing: expected an npz archive in {data_root}")
    rows = pd.concat([_split(archive, split, options) for split in SPLITS], ignore_index=True)
    rows["scanner"] = simulated_scanners.assign_scanners(rows, options)
    table = Table(archive.path, rows)
    return Plan.of(options, data_root, table, options.scanners, options.classes, archive=archive)


class Member(NamedTuple):
    """An array in an npz archive, whose header was read."""

    file: IO[bytes]
    shape: tuple[int, ...]
    in_columns: bool  # Fortran's order
    dtype: np.dtype


@dataclass(frozen=True)
class NpzArchive:
    """Images in the arrays of an npz file; `source_path` is '<array>/<row>'."""

    path: Path

    def labels(self, array: str) -> np.ndarray:
        """An array of labels; refuses one that is too large or made of Python objects."""
        with self._open(array) as (file, shape, _, dtype):
            size = prod(shape) * dtype.itemsize
            if size > _MOST_LABELS:
                raise CohortError(
                    f"{self.path}, {array}: {size} bytes, more than is read of labels"
                )
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)

    def frames(
        self, source_paths: Iterable[str], frame: FrameOptions
    ) -> Iterator[np.ndarray | ImageError]:
        """Frames in the order of their paths; only one image is in memory at a time."""
        for array, places in groupby(source_paths, key=lambda path: path.split("/")[0]):
            with self.open_images(array) as (file, shape, _, _):
                start, length = file.tell(), prod(shape[1:])
                for row in (int(place.split("/")[1]) for place in places):
                    file.seek(start + row * length)
                    pixels = file.read(length)
                    if len(pixels) < length:
                        raise CohortError(
                            f"{self.path}, {array}, row {row}: the array ends here, {shape[0]} "
                            "images were announced; fetch the archive again"
                        )
                    grey = np.frombuffer(pixels, np.uint8).reshape(shape[1:])
                    try:
                        yield to_frame(grey.astype(np.float32), frame)
                    except ImageError as error:
                        yield error

    @contextmanager
    def _open(self, array: str) -> Iterator[Member]:
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{array}.npy") as file:
                yield Member(file, *_READ_HEADER[np.lib.format.read_magic(file)](file))
        except CohortError:
            raise
        except _BROKEN as error:
            raise CohortError(f"{self.path}, {array}: cannot be read ({error})") from error

    @contextmanager
    def open_images(self, array: str) -> Iterator[Member]:
        """An array (n, H, W) of grey images of 8 bits, of which only the header is read."""
        with self._open(array) as member:
            _, shape, in_columns, dtype = member
            if dtype != np.uint8 or len(shape) != 3 or in_columns:
                order = " in Fortran's order" if in_columns else ""
                raise CohortError(
                    f"{self.path}, {array}: {dtype} {shape}{order}, expected grey images, uint8 "
                    "(n, height, width)"
                )
            if shape[0] > _MOST_IMAGES or shape[1] * shape[2] > MAX_PIXELS:
                raise CohortError(
                    f"{self.path}, {array}: claims {shape[0]} images of {shape[2]} x {shape[1]} "
                    "pixels, more than is read"
                )
            yield member


def _split(archive: NpzArchive, split: str, options: MedMnistOptions) -> pd.DataFrame:
    """The rows of one of the publisher's splits; `LINE` counts its images from 0."""
    with archive.open_images(f"{split}_images") as images:
        n = images.shape[0]
    labels = archive.labels(f"{split}_labels")
    if labels.shape not in ((n,), (n, 1)) or not np.issubdtype(labels.dtype, np.integer):
        raise CohortError(
            f"{archive.path}, {split}_labels: {labels.dtype} {labels.shape}, expected one whole "
            f"number for each of the {n} images"
        )
    labels = labels.reshape(n).astype(np.int64)
    unknown = np.flatnonzero((labels < 0) | (labels >= len(options.classes)))
    if len(unknown):
        raise CohortError(
            f"{archive.path}, {split}_labels, row {unknown[0]}: label {labels[unknown[0]]} has no "
            f"name; the classes are {list(options.classes)}"
        )
    ids = [f"{split}-{i:06d}" for i in range(n)]
    paths = [f"{split}_images/{i}" for i in range(n)]
    facts = {"split": split, "sex": "", "age": float("nan"), "view": ""}
    columns = {"image_id": ids, "patient_id": ids, "label": labels, "source_path": paths}
    return pd.DataFrame({**columns, **facts, LINE: np.arange(n)})
