"""Your own images: a folder and a CSV manifest with one row per image.

Needed columns are the image's path, patient, scanner and label; identifier, sex, age, view and
split are optional. Without a split column the rows are split by patient.
"""

from pathlib import Path
from typing import ClassVar, Literal, Self

import pandas as pd
from pydantic import Field, model_validator

from ccl.options import Options
from companion.cohorts.cohort import SEXES, SPLITS
from companion.cohorts.importing.identity import patient_key, require_one_spelling
from companion.cohorts.importing.paths import find_spelling
from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.release import ImportOptions, Release
from companion.cohorts.importing.splits import SplitOptions, split_by_patient
from companion.cohorts.importing.table import SEX_CODES, Table, normalise

RELEASE = Release(
    title="your own images with a manifest",
    access="",
    licence="",
    needs={"manifest.csv": "one row per image: path, patient, scanner, label"},
    sexes=(),
    tables=("manifest.csv",),
)


class Columns(Options):
    """Which column of the manifest holds what; None: it holds no such thing."""

    path: str = "path"
    patient_id: str = "patient_id"
    scanner: str = "scanner"
    label: str = "label"
    image_id: str | None = None
    sex: str | None = None
    age: str | None = None
    view: str | None = None
    split: str | None = None


class FolderOptions(ImportOptions):
    """How a manifest becomes a cohort.

    Attributes:
        manifest: CSV file with a header, relative to the data root.
        columns: names of its columns. The path is relative to the data root. Names of columns,
            scanners, labels and splits are compared without regard to case and space.
        scanners: pretraining scanners; None: all in the manifest that are not held out. Listed,
            any other value is an error.
        held_out_scanners: scanners in the test split only.
        classes: values of the label, of two the second is positive; None: those in the manifest,
            sorted. Listed, any other value is an error.
        keep_unlabelled: an empty label means 'unknown' (kept for training only), not an error.
        splits: shares of the patients where the manifest names no split.
        caveats: what a reader of the results must know.
        citation: of the data.
    """

    release: ClassVar = RELEASE
    published: ClassVar = False
    table_option: ClassVar = "manifest"
    source: Literal["folder"] = "folder"
    name: str = "folder"
    manifest: str = "manifest.csv"
    columns: Columns = Columns()
    scanners: tuple[str, ...] | None = None
    held_out_scanners: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None
    keep_unlabelled: bool = False
    splits: SplitOptions = Field(default_factory=SplitOptions)
    caveats: tuple[str, ...] = ()
    citation: str = ""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for names in ((*(self.scanners or ()), *self.held_out_scanners), self.classes or ()):
            if len({normalise(name) for name in names}) < len(names):
                raise ValueError(f"{names} names something twice")
        return self

    @property
    def sexes(self) -> tuple[str, ...]:
        """Women and men, where the manifest has such a column."""
        return () if self.columns.sex is None else SEXES


def plan(options: FolderOptions, data_root: Path) -> Plan:
    """The rows of the manifest with split and label; no image is read."""
    table = _read(data_root / options.manifest, options.columns)
    table["source_path"] = [find_spelling(data_root, name) for name in table["path"]]
    if not options.columns.image_id:
        table["image_id"] = table["source_path"]
    held_out = {patient_key(name) for name in options.held_out_scanners}
    others = table.rows[~table["scanner"].map(patient_key).isin(held_out)]
    scanners, classes = options.scanners, options.classes
    if scanners is None:
        scanners = _names(Table(table.path, others), "scanner")
    if classes is None:
        classes = _names(table, "label")
    every = (*scanners, *options.held_out_scanners)
    table["scanner"] = table.map_values("scanner", {name: name for name in every})
    codes = {name: code for code, name in enumerate(classes)}
    unknown = {"": -1} if options.keep_unlabelled else {}
    table["label"] = table.map_values("label", codes | unknown)
    table["split"] = _split(table, options)
    table["sex"] = table.map_values("sex", SEX_CODES)
    table["age"] = table.ages()
    table.keep((table["label"] >= 0) | (table["split"] == "train"), "no label")
    said = {"caveats": options.caveats, "citation": options.citation}
    return Plan.of(options, data_root, table, scanners, classes, **said)


def _read(path: Path, columns: Columns) -> Table:
    """The manifest with our names for its columns; absent ones are empty."""
    names = {ours: theirs for ours, theirs in columns.model_dump().items() if theirs}
    table = Table.read(path, names)
    needed = ("path", "patient_id", "scanner", "image_id")
    table.require_filled(*(name for name in needed if name in names))
    for optional in {"sex", "age", "view"} - set(names):
        table[optional] = ""
    table.columns = {name: name for name in Columns.model_fields} | names
    return table


def _names(table: Table, column: str) -> tuple[str, ...]:
    """The names in a column, each of which has to have one spelling."""
    require_one_spelling(table, column, column, patient_key)
    return tuple(sorted(set(table[column]) - {""}))


def _split(table: Table, options: FolderOptions) -> pd.Series:
    if options.columns.split is None:
        return split_by_patient(table.rows, options.held_out_scanners, options.splits)
    return table.map_values("split", {split: split for split in SPLITS})
