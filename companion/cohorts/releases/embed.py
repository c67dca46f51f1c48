"""EMBED: the open part of the Emory Breast Imaging Dataset, 480,323 images, as published.

Reads a table of images, one of findings, and the DICOM files in `images/cohort_1/` and
`images/cohort_2/`; the first table names them by their place on the publisher's server. As in the
paper and its code, 2D images are kept (no synthetic views), CC and MLO, no spot or magnification
views, of women with known age and density A to D, and of the scanners below, where versions of one
model are one scanner. Of the patients of the five pretraining scanners 25 %, stratified by density,
are held out; the first 600 of them are validation, the rest test.

Senographe Essential is held out: no pretraining sees it. Part 'pretraining' has its images in the
test split, as far as its patients are not trained or validated on; part 'held-out' is these images
alone with splits of their own, for probes on this scanner. The paper's own splits of that part
share patients between training and test; they are there as `held_out_split: published-leak`.

Source: Jeong et al., The EMory BrEast imaging Dataset (EMBED), Radiology: AI 5(1), 2023,
https://doi.org/10.1148/ryai.220047.
"""

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from companion.cohorts.importing.identity import require_unrounded
from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.release import ImportOptions, PublishedCounts, Release
from companion.cohorts.importing.splits import assign_splits, hold_out
from companion.cohorts.importing.table import (
    SEX_CODES,
    Table,
    look_up,
    normalise_column,
    strip_decimals,
)

IMAGES = "tables/EMBED_OpenData_metadata_reduced.csv"
CLINICAL = "tables/EMBED_OpenData_clinical.csv"
DENSITIES = ("A", "B", "C", "D")
HELD_OUT = "Senographe Essential"
MODELS = {
    "Selenia Dimensions": "Selenia Dimensions",
    "Senographe Pristina": "Senographe Pristina",
    "Senograph 2000D ADS_17.4.5": "Senograph 2000D",
    "Senograph 2000D ADS_17.5": "Senograph 2000D",
    "Lorad Selenia": "Lorad Selenia",
    "Clearview CSm": "Clearview CSm",
    "Senographe Essential VERSION ADS_53.40": HELD_OUT,
    "Senographe Essential VERSION ADS_54.10": HELD_OUT,
}
SCANNERS = tuple(dict.fromkeys(name for name in MODELS.values() if name != HELD_OUT))
_IMAGE_COLUMNS = {
    "patient_id": "empi_anon",
    "examination": "acc_anon",
    "path": "anon_dicom_path",
    "description": "SeriesDescription",
    "view": "ViewPosition",
    "sex": "PatientSex",
    "kind": "FinalImageType",
    "model": "ManufacturerModelName",
    "spot": "spot_mag",
}
_CLINICAL_COLUMNS = {"examination": "acc_anon", "density": "tissueden", "age": "age_at_study"}
RELEASE = Release(
    title="EMBED",
    access="https://github.com/Emory-HITI/EMBED_Open_Data, on request",
    licence="EMBED research use agreement",
    needs={
        IMAGES: "one row per image",
        CLINICAL: "one row per finding, with the density",
        "images/cohort_*": "the images",
    },
    sexes=("F",),
    tables=(IMAGES, CLINICAL),
    citation="Jeong JJ, et al. The EMory BrEast imaging Dataset (EMBED): A Racially Diverse, "
    "Granular Dataset of 3.4 Million Screening and Diagnostic Mammographic Images. Radiology: "
    "Artificial Intelligence 5(1):e220047, 2023.",
    caveats=(
        "Density is the reading in the report, of the examination and not of the image.",
        "The scanner goes with hospital and year: differences between scanners are also those of "
        "women and readers.",
        "Senographe Pristina has few images: intervals for it are wide.",
    ),
)
_PUBLISHED = {
    "pretraining": PublishedCounts("EMBED, in-distribution", 223_086, 8_295, 65_992),
    "held-out": PublishedCounts(
        *("EMBED, Senographe Essential", 10_927, 1_251, 3_022),
        "The paper draws training and validation from all patients, those of the test split "
        "among them; here they are disjoint.",
    ),
}
_LEAK = (
    "Splits as published: test images and patients are trained on as well. Results on them are "
    "not results on new patients."
)


class EmbedOptions(ImportOptions):
    """Which mammograms of EMBED make the cohort.

    Attributes:
        part: 'pretraining', the five scanners with Senographe Essential in test; or 'held-out',
            Senographe Essential alone.
        held_out_split: of part 'held-out': 'disjoint' by patient, or 'published-leak', the
            paper's, where training and validation are drawn from all patients.
        validation_patients: of part 'pretraining': how many of the held-out patients validate.
    """

    release: ClassVar = RELEASE
    source: Literal["embed"] = "embed"
    name: str = "embed"
    width: int | None = Field(default=56, ge=8, le=4096)
    background: Literal["keep", "remove"] = "remove"
    part: Literal["pretraining", "held-out"] = "pretraining"
    held_out_split: Literal["disjoint", "published-leak"] = "disjoint"
    validation_patients: int = Field(default=600, ge=1)

    @property
    def evaluation_only(self) -> bool:
        """Part 'held-out' has one scanner."""
        return self.part == "held-out"

    @property
    def leaks(self) -> bool:
        """Whether the splits are the paper's of part 'held-out'."""
        return self.evaluation_only and self.held_out_split == "published-leak"


def plan(options: EmbedOptions, data_root: Path) -> Plan:
    """The mammograms with scanner, density and split; no image is read."""
    clinical, table = _densities(data_root / CLINICAL), _images(data_root / IMAGES)
    _join(table, clinical.rows)
    held_out = table["scanner"] == HELD_OUT
    own, other = table.rows[~held_out], table.rows[held_out]
    if options.evaluation_only:
        own, other = other, own
    left_out = {**table.left_out, "scanner of the other part": len(other)}
    Table(table.path, own, left_out=left_out).require_rows()
    if options.evaluation_only:
        table.rows = _held_out_alone(own, options.leaks)
    else:
        n_val = options.validation_patients
        table.rows = _with_held_out(own, other, n_val, table.left_out)
    scanners = (HELD_OUT,) if options.evaluation_only else SCANNERS
    present = set(table["scanner"])
    return Plan.of(
        options,
        data_root,
        table,
        tuple(name for name in scanners if name in present),
        DENSITIES,
        held_out_scanners=tuple({HELD_OUT} & present - set(scanners)),
        caveats=(*clinical.caveats, *((_LEAK,) if options.leaks else ())),
        published=_PUBLISHED[options.part],
        leaks=options.leaks,
    )


def _images(path: Path) -> Table:
    """The images that are kept, with the views of the released code."""
    table = Table.read(path, _IMAGE_COLUMNS)
    table.require_filled("patient_id", "path")
    require_unrounded(table, "examination", "acc_anon")
    table.rows = _views(table.rows)
    table.keep(~table["path"].duplicated(), "listed twice")
    table.keep(table["spot"] == "", "spot or magnification view")
    table.keep(table["view"].isin(["CC", "MLO"]), "other view")
    table["sex"] = look_up(table["sex"], SEX_CODES)
    table.keep(table["sex"] == "F", "sex not F")
    table.keep(normalise_column(table["kind"]) == "2d", "not 2D")
    table["scanner"] = look_up(table["model"], MODELS)
    table.keep(table["scanner"].notna(), "other scanner")
    table["examination"] = strip_decimals(table["examination"])
    table["patient_id"] = strip_decimals(table["patient_id"])
    table.refuse(
        ~table["path"].str.contains("/cohort_", regex=False),
        lambda row: (
            f"anon_dicom_path '{row['path']}' is not as published, '.../anon_dicom/cohort_1/...'"
        ),
    )
    # '/mnt/NAS2/mammo/anon_dicom/cohort_1/...' on the publisher's server is in images/ here.
    table["source_path"] = "images/cohort_" + table["path"].str.partition("/cohort_")[2]
    table["image_id"] = table["source_path"].str.rpartition("/")[2].str.removesuffix(".dcm")
    return table


def _views(rows: pd.DataFrame) -> pd.DataFrame:
    """Mends view positions, as the released code does; rows without one come last.

    Exaggerated views (XCCL) are no CC views; where the position is missing, the description has it.
    """
    rows["description"] = rows["description"].str.upper()
    exaggerated = rows["description"].isin(["RXCCL", "LXCCL"])
    rows["view"] = rows["view"].str.upper().mask(exaggerated, "XCCL")
    lacking = (rows["view"] == "") & (rows["description"] != "")
    mended = rows[lacking].copy()
    mended["view"] = [
        next((view for view in ("CC", "MLO") if view in text), "") for text in mended["description"]
    ]
    return pd.concat([rows[~lacking], mended], ignore_index=True)


def _densities(path: Path) -> Table:
    """Density and age of each examination: the first finding with a density from 1 to 4."""
    table = Table.read(path, _CLINICAL_COLUMNS)
    require_unrounded(table, "examination", "acc_anon")
    table["density"], table["age"] = table.parse("density"), table.ages()
    table["examination"] = strip_decimals(table["examination"])
    rows = table.rows[table["density"].isin([1, 2, 3, 4])].drop_duplicates("examination")
    rows = rows.assign(label=rows["density"].astype(int) - 1)
    table.rows = rows[["examination", "label", "age"]]
    return table


def _join(table: Table, densities: pd.DataFrame) -> None:
    """Keeps the images whose examination has a density, in the order of the table of findings."""
    table.keep(table["examination"].isin(densities["examination"]), "density not A to D")
    table.rows = densities.merge(table.rows, on="examination")
    table.keep(table["age"].notna(), "no age")


def _with_held_out(
    rows: pd.DataFrame, held_out: pd.DataFrame, n_val: int, left_out: dict[str, int]
) -> pd.DataFrame:
    """The paper's split, and the held-out scanner in test without anybody trained on."""
    trained, held = hold_out(_patients(rows), 0.25, _strata(rows))
    drawn = {"train": trained, "val": held[:n_val], "test": held[n_val:]}
    rows = rows.assign(split=assign_splits(rows["patient_id"], drawn))
    seen = held_out["patient_id"].isin([*drawn["train"], *drawn["val"]])
    left_out[f"{HELD_OUT}, of a patient in training or validation"] = int(seen.sum())
    held_out = held_out[~seen].assign(split="test")
    return pd.concat([rows, held_out], ignore_index=True)


def _held_out_alone(rows: pd.DataFrame, leak: bool) -> pd.DataFrame:
    """The held-out scanner's own split: 25 % of its patients test, 10 % of others validate."""
    rest, tested = hold_out(_patients(rows), 0.25, _strata(rows))
    trained, validated = hold_out(_patients(rows) if leak else rest, 0.10)
    test = rows[rows["patient_id"].isin(tested)].assign(split="test")
    if leak:
        for column in ("image_id", "patient_id"):
            test[column] += " (test)"
    fitted = rows[rows["patient_id"].isin([*trained, *validated])]
    drawn = {"train": trained, "val": validated}
    fitted = fitted.assign(split=assign_splits(fitted["patient_id"], drawn))
    return pd.concat([fitted, test], ignore_index=True)


def _patients(rows: pd.DataFrame) -> np.ndarray:
    """Patients in the order of their first image."""
    return np.asarray(rows["patient_id"].unique())


def _strata(rows: pd.DataFrame) -> list[int]:
    """Density of each patient's first image, by increasing patient number.

    The released code hands these over beside the patients in order of first appearance, so that
    they stratify other patients than they belong to. Kept: it is what drew the paper's splits.
    """
    first = rows.drop_duplicates("patient_id")
    strata = dict(zip(first["patient_id"], first["label"], strict=True))
    return [strata[patient] for patient in sorted(strata, key=lambda name: (len(name), name))]
