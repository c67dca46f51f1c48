"""A cohort on disk: images, their table and their description (format in `load`)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from companion.engine import storage
from companion.engine.mapped import MappedArray, read_blocks

# fmt: off
COLUMNS = (
    "image_id", "patient_id", "split", "scanner", "sex", "age", "view", "label", "source_path",
)
# fmt: on
SPLITS = ("train", "val", "test")
SEXES = ("F", "M")
AGE_GROUPS = ("below 50", "50 to 59", "60 to 69", "70 and above")  # years
_AGE_EDGES = (50, 60, 70)
NOT_RECORDED = "not recorded"  # the scanner of a source that names none
ATTRIBUTE = "attribute"  # a column that a cohort may have after those
UNLABELLED = "unlabelled"
FORMAT = 1
_ROWS = 1024  # of the table, hashed at once


@dataclass(frozen=True)
class Cohort:
    """Images of one source with one table row each; row i of `table` describes `images[i]`.

    Attributes:
        folder: where the cohort lies.
        info: the parsed `cohort.json`.
        images: uint8 (N, H, W), memory-mapped read-only.
        table: N rows with the columns `COLUMNS` and perhaps `ATTRIBUTE`. `label` is -1 where the
            label is unknown: such rows are in the train split only, for what needs no label, and
            `labelled` drops them.
    """

    folder: Path
    info: Mapping[str, Any]
    images: np.ndarray
    table: pd.DataFrame

    @property
    def name(self) -> str:
        """Name of the cohort."""
        return str(self.info["name"])

    @property
    def scanners(self) -> tuple[str, ...]:
        """Pretraining scanners; their order is the integer code of the variable `scanner`."""
        return tuple(self.info["scanners"])

    @property
    def held_out_scanners(self) -> tuple[str, ...]:
        """Scanners that appear in the test split only."""
        return tuple(self.info["held_out_scanners"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the label's values; of two classes the second is the positive one."""
        return tuple(self.info["classes"])

    @property
    def checksum(self) -> str:
        """SHA-256 over images and table."""
        return str(self.info["checksum"])

    @classmethod
    def load(cls, folder: str | Path) -> "Cohort":
        """The cohort in a folder of `images.npy`, `table.parquet` and `cohort.json`.

        Raises:
            FileNotFoundError: a file of the three is missing.
            DamagedFileError: one is not what was written.
            ValueError: the files do not fit each other or have another format.
        """
        folder = Path(folder)
        for name in ("cohort.json", "table.parquet", "images.npy"):
            if not (folder / name).is_file():
                said = f"is missing: '{folder}' is not a finished cohort; import it again"
                raise FileNotFoundError(f"{folder / name} {said}")
        info = storage.read_json(folder / "cohort.json")
        if info.get("format") != FORMAT:
            raise ValueError(
                f"{folder / 'cohort.json'}: format {info.get('format')!r} is not {FORMAT}; "
                "import again"
            )
        images = storage.read_npy(folder / "images.npy").view(MappedArray)
        table = storage.read_parquet(folder / "table.parquet")
        if tuple(table.columns) not in (COLUMNS, (*COLUMNS, ATTRIBUTE)):
            raise ValueError(
                f"{folder / 'table.parquet'}: columns {list(table.columns)}, "
                f"expected {list(COLUMNS)}"
            )
        if len(images) != len(table) or images.dtype != np.uint8 or images.ndim != 3:
            raise ValueError(
                f"{folder}: images {images.shape} {images.dtype} do not fit {len(table)} table rows"
            )
        return cls(folder, info, images, table)

    def __len__(self) -> int:
        return len(self.table)

    def rows(
        self, split: str | None = None, scanners: str | Sequence[str] | None = None
    ) -> np.ndarray:
        """Row indices, int64, of a split and of some scanners.

        Args:
            split: 'train', 'val', 'test', or None for all.
            scanners: 'pretraining', 'held_out', a list of names, or None for all.
        """
        keep = np.ones(len(self), dtype=bool)
        if split is not None:
            if split not in SPLITS:
                raise ValueError(f"split '{split}' is unknown; it is one of {SPLITS}")
            keep &= (self.table["split"] == split).to_numpy()
        if scanners is not None:
            keep &= self.table["scanner"].isin(self._scanner_names(scanners)).to_numpy()
        return np.flatnonzero(keep)

    def labelled(self, rows: np.ndarray) -> np.ndarray:
        """Those of some rows, in their order, whose label is known; int64."""
        return rows[self.table["label"].to_numpy()[rows] >= 0]

    def attributes(self, rows: np.ndarray) -> np.ndarray:
        """Further properties of some images, such as 'implant'; strings (n,), '' for none."""
        if ATTRIBUTE not in self.table:
            return np.full(len(rows), "", dtype=object)
        return self.table[ATTRIBUTE].to_numpy(dtype=object)[rows]

    def _scanner_names(self, scanners: str | Sequence[str]) -> Sequence[str]:
        if scanners == "pretraining":
            return self.scanners
        if scanners == "held_out":
            return self.held_out_scanners
        if isinstance(scanners, str):
            raise ValueError(
                f"scanners='{scanners}': give 'pretraining', 'held_out' or a list of names"
            )
        unknown = set(scanners) - set(self.scanners) - set(self.held_out_scanners)
        if unknown:
            raise ValueError(f"cohort '{self.name}' has no scanner {sorted(unknown)}")
        return scanners

    def values(self, variable: str) -> tuple[str, ...]:
        """The values that a variable of a causal graph takes; their order is its integer code.

        Args:
            variable: 'scanner', 'sex', 'age' (in groups) or 'label'.
        """
        known = {"scanner": self.scanners, "sex": SEXES, "age": AGE_GROUPS, "label": self.classes}
        if variable not in known:
            raise ValueError(f"variable '{variable}' is unknown; it is one of {sorted(known)}")
        return known[variable]

    def codes(self, variable: str, rows: np.ndarray) -> np.ndarray:
        """Integer codes, int64 (n,), of a variable, see `values`.

        Raises:
            ValueError: a row's value has no code (held-out scanner, unknown sex, age or label).
        """
        values, stated = self.values(variable), self.table[variable].iloc[rows]
        if variable == "label":
            codes = stated.to_numpy()
        elif variable == "age":
            codes = age_codes(stated.to_numpy(dtype=float))
        else:
            codes = pd.Categorical(stated, categories=list(values)).codes
        if (codes < 0).any():
            row = int(rows[int(np.argmax(codes < 0))])
            raise ValueError(
                f"{self.folder}: row {row} has {variable} "
                f"'{self.table[variable].iloc[row]}', which is not one of {list(values)}"
            )
        return codes.astype(np.int64)

    def patients(self, rows: np.ndarray) -> np.ndarray:
        """Identifiers (n,) of the patients of some rows."""
        return self.table["patient_id"].to_numpy()[rows]


def age_codes(years: np.ndarray) -> np.ndarray:
    """Codes (n,) of the age groups `AGE_GROUPS`, -1 where the age is not known."""
    return np.where(np.isfinite(years), np.digitize(years, _AGE_EDGES), -1)


def checksum(images: np.ndarray, table: pd.DataFrame) -> str:
    """SHA-256 (hex) over the bytes of images, uint8 (N, H, W), and their table written as CSV."""
    digest = hashlib.sha256()
    for block in read_blocks(images):
        digest.update(block.tobytes())
    for start in range(0, len(table), _ROWS):
        rows = table.iloc[start : start + _ROWS]
        digest.update(rows.to_csv(index=False, header=start == 0, lineterminator="\n").encode())
    return digest.hexdigest()


def count_images(
    table: pd.DataFrame, classes: Sequence[str]
) -> dict[str, dict[str, dict[str, int]]]:
    """Number of images by split, scanner and class; 'unlabelled' where there are such."""
    counts: dict[str, dict[str, dict[str, int]]] = {split: {} for split in SPLITS}
    for (split, scanner), group in table.groupby(["split", "scanner"]):
        labels = group["label"].value_counts()
        cell = {name: int(labels.get(code, 0)) for code, name in enumerate(classes)}
        unlabelled = {UNLABELLED: int(labels[-1])} if -1 in labels.index else {}
        counts[str(split)][str(scanner)] = cell | unlabelled
    return counts


def describe(
    options: Any, made: Any, images: np.ndarray, table: pd.DataFrame, **said: Any
) -> dict[str, Any]:
    """The content of `cohort.json`: what every cohort has, and more.

    Args:
        options: of its source.
        made: the plan or the phantom, which names scanners, classes, caveats and citation.
        images, table: the cohort's.
        said: what else there is, or other than `made` has.
    """
    return {
        "format": FORMAT,
        "name": options.name or options.source,
        "source": options.source,
        "source_options": options.model_dump(mode="json"),
        "scanners": list(made.scanners),
        "held_out_scanners": list(made.held_out_scanners),
        "classes": list(made.classes),
        "positive_label": made.classes[1],
        "height": images.shape[1],
        "width": images.shape[2],
        "counts": count_images(table, made.classes),
        "checksum": checksum(images, table),
        "caveats": list(made.caveats),
        "citation": made.citation,
        **said,
    }


def evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of some rows (n,), evenly spaced among them."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]


def evenly_of_each(cohort: Cohort, split: str, most: int) -> np.ndarray:
    """At most so many rows of each pretraining scanner in a split, evenly spaced; int64 (n,)."""
    return np.concatenate([evenly(cohort.rows(split, [name]), most) for name in cohort.scanners])
