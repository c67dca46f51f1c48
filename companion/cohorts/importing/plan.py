"""What a source hands to the importer: every row of the cohort before any image is read."""

import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
import pandas as pd

from companion.cohorts.cohort import COLUMNS, SPLITS
from companion.cohorts.errors import CohortError, ImageError
from companion.cohorts.importing.identity import (
    patient_key,
    require_one_spelling,
    require_unrounded,
)
from companion.cohorts.importing.image_files import FrameOptions
from companion.cohorts.importing.import_options import ImportOptions
from companion.cohorts.importing.manifest import LINE
from companion.cohorts.importing.published_counts import PublishedCounts
from companion.cohorts.importing.table import require_rows
from companion.cohorts.simulation.scanner_shares import SimulatedScanners

UNLABELLED = "unlabelled"
# Characters that no name needs: control, line and paragraph ends, and those that turn the direction
# of writing, so that a name shows as another.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST = {"image_id": 1000, "source_path": 1000, "patient_id": 200, "scanner": 100, "view": 100}
_LONGEST_CLASS = 100

log = logging.getLogger(__name__)


class Archive(Protocol):
    """One file that holds all images of a plan."""

    @property
    def path(self) -> Path:
        """The file."""

    def frames(
        self, source_paths: Iterable[str], frame: FrameOptions
    ) -> Iterator[np.ndarray | ImageError]:
        """Frames, or why there is none, in the order of the images' `source_path`."""


@dataclass(frozen=True)
class Plan:
    """A cohort to be written.

    Attributes:
        options: the source's own: its name, and how an image becomes a frame, among them.
        root: folder that every `source_path` is relative to, unless there is an `archive`.
        manifest: the file that rows are counted in.
        scanners: pretraining scanners in the order of their codes.
        classes: names of the labels 0, 1, ...
        rows: `COLUMNS` and `LINE`, the row's line in `manifest`.
        held_out_scanners: scanners in the test split only.
        caveats: shown wherever the cohort is used.
        citation: of the data.
        left_out: rows that the options exclude, by reason.
        archive: what holds the images, where they are no files of their own.
        simulated: scanners to put over the images; the rows name which takes which.
        published: the paper's counts of these images, which the import is set beside.
        leaks: the splits share patients, as published; the rows of a test image that is also
            trained on have image and patient identifiers of their own.
    """

    options: ImportOptions
    root: Path
    manifest: Path
    scanners: tuple[str, ...]
    classes: tuple[str, ...]
    rows: pd.DataFrame
    held_out_scanners: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    citation: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)
    archive: Archive | None = None
    simulated: SimulatedScanners | None = None
    published: PublishedCounts | None = None
    leaks: bool = False


def check(plan: Plan, rows: pd.DataFrame) -> None:
    """Refuses rows that make no cohort.

    Raises:
        CohortError: no rows, a name that cannot be shown, a duplicate image, a patient in two
            splits or under two spellings, one class or one scanner only, a scanner or class
            without training images, a held-out scanner outside test.
    """
    require_rows(plan.manifest, rows, plan.left_out)
    _check_names(plan, rows)
    _check_unique(plan, rows)
    _check_patients(plan, rows)
    _check_classes(plan, rows)
    _check_scanners(plan, rows)


def _check_names(plan: Plan, rows: pd.DataFrame) -> None:
    for column, longest in _LONGEST.items():
        for text, line in zip(rows[column].astype(str), rows[LINE], strict=True):
            if fault := _name_error(text, longest):
                raise CohortError(f"{plan.manifest}, row {line}: {column} {fault}")
    for name in (*plan.classes, *plan.scanners, *plan.held_out_scanners):
        if fault := _name_error(name, _LONGEST_CLASS):
            raise CohortError(f"{plan.manifest}: class or scanner {fault}")


def _name_error(name: str, longest: int) -> str:
    """Why a name cannot be shown; '' if it can."""
    if len(name) > longest:
        return f"{name[:40]!r}... is longer than {longest} characters"
    return f"{name!r} holds a control character" if _CONTROL.search(name) else ""


def _check_unique(plan: Plan, rows: pd.DataFrame) -> None:
    for column in ("image_id",) if plan.leaks else ("image_id", "source_path"):
        values = rows[column].map(_as_posix) if column == "source_path" else rows[column]
        again = values.duplicated()
        if again.any():
            value, line = values[again].iloc[0], rows.loc[again, LINE].iloc[0]
            first = rows.loc[values == value, LINE].iloc[0]
            raise CohortError(
                f"{plan.manifest}, row {line}: {column} '{value}' is a duplicate of row {first}; "
                "list each image once"
            )
    if not plan.leaks and plan.archive is None:
        _check_spelling(plan, rows)


def _as_posix(path: str) -> str:
    """'a.png' for './a.png'."""
    return PurePosixPath(path).as_posix()


def _check_spelling(plan: Plan, rows: pd.DataFrame) -> None:
    """Refuses one file under names that differ in case or in the form of accents."""
    folded = rows["source_path"].map(lambda name: unicodedata.normalize("NFC", name).casefold())
    for _, alike in rows[folded.duplicated(keep=False)].groupby(folded):
        seen: dict[tuple[int, int], str] = {}
        for name, line in zip(alike["source_path"], alike[LINE], strict=True):
            file = plan.root / name
            if file.is_file():
                status = file.stat()
                first = seen.setdefault((status.st_dev, status.st_ino), name)
                if first != name:
                    raise CohortError(
                        f"{plan.manifest}, row {line}: source_path '{name}' is the same file as "
                        f"'{first}'; list each image once"
                    )


def _check_patients(plan: Plan, rows: pd.DataFrame) -> None:
    seen = rows.drop_duplicates(["patient_id", "split"])
    again = seen[seen["patient_id"].duplicated()]
    if not again.empty:
        patient, split, line = again[["patient_id", "split", LINE]].iloc[0]
        first = seen[seen["patient_id"] == patient].iloc[0]
        raise CohortError(
            f"{plan.manifest}, row {line}: patient '{patient}' is in split '{split}' and, in row "
            f"{first[LINE]}, in '{first['split']}'; keep each patient in one split"
        )
    require_unrounded(plan.manifest, rows, "patient_id", "patient")
    require_one_spelling(plan.manifest, rows, "patient_id", "patient", patient_key)


def _check_classes(plan: Plan, rows: pd.DataFrame) -> None:
    present = {plan.classes[label] for label in rows["label"].unique() if label >= 0}
    if len(present) < 2:
        raise CohortError(
            f"{plan.manifest}: one class only, {sorted(present)}; a cohort needs two or more"
        )
    trained = rows[rows["split"] == "train"]
    _require_all(plan, "class", plan.classes, {plan.classes[i] for i in trained["label"] if i >= 0})


def _check_scanners(plan: Plan, rows: pd.DataFrame) -> None:
    present = set(rows["scanner"]) & set(plan.scanners)
    if len(present) < 2 and not plan.options.evaluation_only:
        raise CohortError(
            f"{plan.manifest}: one scanner only, {sorted(present)}, besides those held out; "
            "pretraining needs two or more"
        )
    trained = set(rows.loc[rows["split"] == "train", "scanner"])
    _require_all(plan, "scanner", plan.scanners, trained)
    tested = set(rows["scanner"])
    for scanner in plan.held_out_scanners:
        if scanner not in tested:
            raise CohortError(
                f"{plan.manifest}: held-out scanner '{scanner}' has no image; "
                "take it from the list of held-out scanners"
            )
    misplaced = rows[rows["scanner"].isin(plan.held_out_scanners) & (rows["split"] != "test")]
    if not misplaced.empty:
        scanner, split, line = misplaced[["scanner", "split", LINE]].iloc[0]
        raise CohortError(
            f"{plan.manifest}, row {line}: scanner '{scanner}' is held out but the row is in split "
            f"'{split}'; held-out scanners are for 'test' only"
        )


def _require_all(plan: Plan, kind: str, names: Sequence[str], found: set[str]) -> None:
    lacking = [name for name in names if name not in found]
    if lacking:
        raise CohortError(
            f"{plan.manifest}: {kind} {lacking} has no image in the training split; "
            "add images, leave it out, or (a scanner) hold it out"
        )


def counts(plan: Plan, rows: pd.DataFrame) -> dict[str, dict[str, dict[str, int]]]:
    """Number of images by split, scanner and class; 'unlabelled' where there are such."""
    table: dict[str, dict[str, dict[str, int]]] = {split: {} for split in SPLITS}
    for (split, scanner), group in rows.groupby(["split", "scanner"], sort=True):
        labels = group["label"].value_counts()
        cell = {name: int(labels.get(code, 0)) for code, name in enumerate(plan.classes)}
        if -1 in labels.index:
            cell[UNLABELLED] = int(labels[-1])
        table[str(split)][str(scanner)] = cell
    return table


def missing_classes(plan: Plan, rows: pd.DataFrame) -> list[str]:
    """Caveats about val and test cells in which a metric cannot be computed; also logged."""
    caveats = []
    for split in ("val", "test"):
        scanners = (*plan.scanners, *(plan.held_out_scanners if split == "test" else ()))
        for scanner in scanners:
            cell = rows[(rows["split"] == split) & (rows["scanner"] == scanner)]
            absent = [name for i, name in enumerate(plan.classes) if i not in set(cell["label"])]
            if absent:
                caveats.append(f"Split '{split}' has no image of {absent} from {scanner}.")
                log.warning("%s: %s", plan.manifest.name, caveats[-1])
    return caveats


def cohort_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as `table.parquet` holds them: `COLUMNS` in order and in their types."""
    types = {column: "str" for column in COLUMNS} | {"age": "float64", "label": "int64"}
    return rows[list(COLUMNS)].astype(types).reset_index(drop=True)
