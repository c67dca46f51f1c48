"""What a source hands to the importer: every row of the cohort before any image is read."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd

from companion.cohorts.cohort import COLUMNS, UNLABELLED
from companion.cohorts.errors import CohortError, ImageError
from companion.cohorts.importing.identity import (
    patient_key,
    require_one_spelling,
    require_unrounded,
)
from companion.cohorts.importing.image_files import FrameOptions
from companion.cohorts.importing.release import ImportOptions, PublishedCounts
from companion.cohorts.importing.table import LINE, Table
from companion.cohorts.simulation.scanner_shares import SimulatedScanners

# Characters that no name needs: control, line and paragraph ends, and those that turn the direction
# of writing, so that a name shows as another.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST = {"image_id": 1000, "source_path": 1000, "patient_id": 200, "scanner": 100, "view": 100}
# What figures beside those of each class and scanner are called: of none, and of all together.
_RESERVED = {"class": {UNLABELLED}, "scanner": {"pooled", "all"}}


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

    @classmethod
    def of(
        cls,
        options: ImportOptions,
        root: Path,
        table: Table,
        scanners: tuple[str, ...],
        classes: tuple[str, ...],
        **more: Any,
    ) -> Self:
        """The rows of a table, with what the options' release and the table say of them.

        Args:
            options, root, scanners, classes: as the attributes.
            table: the rows.
            more: further attributes, or others than the release has; `caveats` are added to its.
        """
        release = options.release
        said = {
            "held_out_scanners": getattr(options, "held_out_scanners", ()),
            "citation": release.citation,
            "left_out": table.left_out,
            "simulated": options if isinstance(options, SimulatedScanners) else None,
            "published": release.published,
            **more,
            "caveats": (*release.caveats, *table.caveats, *more.get("caveats", ())),
        }
        return cls(options, root, table.path, scanners, classes, table.rows, **said)

    @property
    def table(self) -> Table:
        """The rows, to be refused by line."""
        return Table(self.manifest, self.rows, left_out=dict(self.left_out))

    def compare_with_paper(self) -> dict[str, Any] | None:
        """Rows of the pretraining scanners beside the paper's counts; None where it has none."""
        if self.published is None:
            return None
        return self.published.compare(self.rows[self.rows["scanner"].isin(self.scanners)])


def check(plan: Plan) -> None:
    """Refuses rows that make no cohort.

    Raises:
        CohortError: no rows, a name that cannot be shown or is reserved, a duplicate image, a
            patient in two splits or under two spellings, one class or one scanner only, a scanner
            or class without training images, a held-out scanner outside test, a val or test split
            without a class, unless a publisher made it.
    """
    table = plan.table
    table.require_rows()
    for column, longest in _LONGEST.items():
        _check_column(table, column, longest)
    scanners = (*plan.scanners, *plan.held_out_scanners)
    for kind, names in (("class", plan.classes), ("scanner", scanners)):
        for name in names:
            if fault := _name_error(name, 100):
                raise CohortError(f"{plan.manifest}: {kind} {fault}")
            if name in _RESERVED[kind]:
                raise CohortError(f"{plan.manifest}: no {kind} may be called '{name}'; rename it")
    _check_unique(table, "image_id", table["image_id"])
    if not plan.leaks:
        files = table["source_path"].map(lambda path: PurePosixPath(path).as_posix())
        _check_unique(table, "source_path", files)
        _check_files(plan)
    _check_patients(table)
    _check_classes(plan)
    _check_scanners(plan)
    _check_evaluated(plan)


def _check_column(table: Table, column: str, longest: int) -> None:
    faults = table[column].astype(str).map(lambda name: _name_error(name, longest))
    table.refuse(faults != "", lambda row: f"{column} {_name_error(str(row[column]), longest)}")


def _name_error(name: str, longest: int) -> str:
    """Why a name cannot be shown; '' if it can."""
    if len(name) > longest:
        return f"{name[:40]!r}... is longer than {longest} characters"
    return f"{name!r} holds a control character" if _CONTROL.search(name) else ""


def _check_unique(table: Table, column: str, values: pd.Series) -> None:
    again = values.duplicated()
    if again.any():
        value = values[again].iloc[0]
        first = table.rows.loc[values == value, LINE].iloc[0]
        said = f"{column} '{value}' is a duplicate of row {first}; list each image once"
        table.refuse(again, lambda _: said)


def _check_files(plan: Plan) -> None:
    """Refuses one file under names that differ in case or in the form of accents."""
    if plan.archive is not None:
        return
    folded = plan.rows["source_path"].map(
        lambda name: unicodedata.normalize("NFC", name).casefold()
    )
    alike = plan.rows[folded.duplicated(keep=False)]
    seen: dict[tuple[int, int], str] = {}
    for name, line in zip(alike["source_path"], alike[LINE], strict=True):
        if (plan.root / name).is_file():
            status = (plan.root / name).stat()
            first = seen.setdefault((status.st_dev, status.st_ino), name)
            if first != name:
                raise CohortError(
                    f"{plan.manifest}, row {line}: source_path '{name}' is the same file as "
                    f"'{first}'; list each image once"
                )


def _check_patients(table: Table) -> None:
    seen = table.rows.drop_duplicates(["patient_id", "split"])
    again = seen[seen["patient_id"].duplicated()]
    if not again.empty:
        patient, split, line = again[["patient_id", "split", LINE]].iloc[0]
        first = seen[seen["patient_id"] == patient].iloc[0]
        raise CohortError(
            f"{table.path}, row {line}: patient '{patient}' is in split '{split}' and, in row "
            f"{first[LINE]}, in '{first['split']}'; keep each patient in one split"
        )
    require_unrounded(table, "patient_id", "patient")
    require_one_spelling(table, "patient_id", "patient", patient_key)


def _check_classes(plan: Plan) -> None:
    names = {code: name for code, name in enumerate(plan.classes)}
    known = plan.rows["label"].map(names)
    if known.nunique() < 2:
        raise CohortError(
            f"{plan.manifest}: one class only, {sorted(known.dropna().unique())}; a cohort needs "
            "two or more"
        )
    _check_trained(plan, "class", plan.classes, known)


def _check_scanners(plan: Plan) -> None:
    scanner, split = plan.rows["scanner"], plan.rows["split"]
    present = set(scanner) & set(plan.scanners)
    if len(present) < 2 and not plan.options.evaluation_only:
        raise CohortError(
            f"{plan.manifest}: one scanner only, {sorted(present)}, besides those held out; "
            "pretraining needs two or more"
        )
    _check_trained(plan, "scanner", plan.scanners, scanner)
    absent = [name for name in plan.held_out_scanners if name not in set(scanner)]
    if absent:
        raise CohortError(
            f"{plan.manifest}: held-out scanner '{absent[0]}' has no image; "
            "take it from the list of held-out scanners"
        )
    plan.table.refuse(
        scanner.isin(plan.held_out_scanners) & (split != "test"),
        lambda row: (
            f"scanner '{row['scanner']}' is held out but the row is in split '{row['split']}'; "
            "held-out scanners are for 'test' only"
        ),
    )


def _check_trained(plan: Plan, kind: str, names: tuple[str, ...], of_rows: pd.Series) -> None:
    trained = set(of_rows[plan.rows["split"] == "train"])
    lacking = [name for name in names if name not in trained]
    if lacking:
        raise CohortError(
            f"{plan.manifest}: {kind} {lacking} has no image in the training split; "
            "add images, leave it out, or (a scanner) hold it out"
        )


def _check_evaluated(plan: Plan) -> None:
    """Refuses own splits without pretraining scanners, or in which no domain shows every class."""
    domains = [plan.scanners, *((name,) for name in plan.held_out_scanners)]
    for split in () if plan.options.published else ("val", "test"):
        rows = plan.rows[plan.rows["split"] == split]
        seen = [set(rows.loc[rows["scanner"].isin(domain), "label"]) for domain in domains]
        lacking = [[c for k, c in enumerate(plan.classes) if k not in labels] for labels in seen]
        if not seen[0] or all(lacking):
            raise CohortError(
                f"{plan.manifest}: split '{split}' has no image of {lacking[0]} from scanners "
                f"{[*plan.scanners]}, so that no encoder can be evaluated; add images, move "
                "patients there, or name no column of splits, so that they are dealt out by class"
            )


def cohort_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as `table.parquet` holds them: `COLUMNS` in order and in their types."""
    types = {column: "str" for column in COLUMNS} | {"age": "float64", "label": "int64"}
    return rows[list(COLUMNS)].astype(types).reset_index(drop=True)
