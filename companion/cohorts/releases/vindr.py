"""VinDr-Mammo: 20,000 mammograms of 5,000 examinations of two hospitals in Hanoi, as published.

Reads `breast-level_annotations.csv`, `metadata.csv` and the DICOM files
`images/<study_id>/<image_id>.dicom`.

- Access: https://physionet.org/content/vindr-mammo/1.0.0/ with a signed agreement (about 340 GB).
- Licence: PhysioNet Restricted Health Data License 1.5.0.
- Labels: density A to D of each breast, read by two radiologists, a third where they differed.
- Kept, as in the paper: all images.
- Scanner: the model that the image's header names; Giotto's two models are one.
- Split: 30 % of the series to test, then 20 % of the rest to validation (`published_splits`).
- Preprocessing: everything but the breast becomes black (`breast_region`).

Source: Nguyen et al., VinDr-Mammo, Scientific Data 10:277, 2023,
https://doi.org/10.1038/s41597-023-02100-7.
"""

from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd
from pydantic import Field

from companion.cohorts.errors import CohortError
from companion.cohorts.importing.import_options import ImportOptions
from companion.cohorts.importing.manifest import (
    LINE,
    map_values,
    parse_ages,
    read_manifest,
    require_filled,
)
from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.published_counts import PublishedCounts
from companion.cohorts.importing.published_splits import leak_caveats, train_val_test
from companion.cohorts.importing.release import Release

ANNOTATIONS = "breast-level_annotations.csv"
METADATA = "metadata.csv"
DENSITIES = ("A", "B", "C", "D")
SCANNERS = {
    "Mammomat Inspiration": "Mammomat Inspiration",
    "Planmed Nuance": "Planmed Nuance",
    "Giotto Image 3DL": "Giotto",
    "Giotto Class": "Giotto",
}
_COLUMNS = {
    "study_id": "study",
    "image_id": "image_id",
    "view_position": "view",
    "breast_density": "density",
}
_METADATA = {
    "SOP Instance UID": "image_id",
    "Series Instance UID": "series",
    "Manufacturer's Model Name": "model",
    "Patient's Age": "age",
}
RELEASE = Release(
    title="VinDr-Mammo",
    access="https://physionet.org/content/vindr-mammo/1.0.0/, with a signed agreement",
    licence="PhysioNet Restricted Health Data License 1.5.0",
    needs={
        ANNOTATIONS: "density by breast",
        METADATA: "scanner and age by image",
        "images/*/*.dicom": "the images",
    },
    sexes=("F",),
    tables=(ANNOTATIONS, METADATA),
    published={"": PublishedCounts("VinDr-Mammo", 11_191, 2_813, 5_996)},
)
CITATION = (
    "Nguyen HT, et al. VinDr-Mammo: A large-scale benchmark dataset for computer-aided diagnosis "
    "in full-field digital mammography. Scientific Data 10:277, 2023."
)
CAVEATS = (
    "The publisher's own split into training and test is not the paper's and is not used.",
    "The two hospitals are not named: scanner and hospital cannot be told apart.",
    "Giotto has few images: intervals for it are wide.",
)
_LEAK = (
    "Split by series, as in the paper: {n} examinations have images in more than one split; "
    "split_by: study keeps them apart."
)


class VindrOptions(ImportOptions):
    """Which mammograms of VinDr-Mammo make the cohort.

    Attributes:
        split_by: 'series' as in the paper; 'study' keeps all images of a woman in one split.
    """

    release: ClassVar = RELEASE
    source: Literal["vindr"] = "vindr"
    name: str = "vindr"
    width: int | None = Field(default=56, ge=8, le=4096)
    background: Literal["keep", "remove"] = "remove"
    split_by: Literal["series", "study"] = "series"


def plan(options: VindrOptions, data_root: Path) -> Plan:
    """The mammograms with scanner, density and split; no image is read.

    Raises:
        CohortError: a table is not as published; names file and row.
    """
    path = data_root / ANNOTATIONS
    rows = _annotations(path)
    caveats = list(CAVEATS)
    known = _metadata(data_root / METADATA, caveats)
    rows = rows.merge(known, on="image_id", how="left", validate="one_to_one")
    lost = rows[rows["series"].isna()]
    if not lost.empty:
        image, line = lost[["image_id", LINE]].iloc[0]
        raise CohortError(f"{path}, row {line}: image '{image}' is not in {METADATA}")
    rows["patient_id"] = rows["series" if options.split_by == "series" else "study"]
    rows["split"] = train_val_test(rows["patient_id"], test=0.30, val=0.20)
    rows["source_path"] = "images/" + rows["study"] + "/" + rows["image_id"] + ".dicom"
    present = set(rows["scanner"])
    return Plan(
        options=options,
        root=data_root,
        manifest=path,
        scanners=tuple(name for name in dict.fromkeys(SCANNERS.values()) if name in present),
        held_out_scanners=(),
        classes=DENSITIES,
        rows=rows.assign(sex="F"),
        caveats=(*caveats, *leak_caveats(rows["study"], rows["split"], _LEAK)),
        citation=CITATION,
        published=RELEASE.published[""],
    )


def _annotations(path: Path) -> pd.DataFrame:
    """One row per image, with its breast's density as label."""
    rows = read_manifest(path, list(_COLUMNS)).rename(columns=_COLUMNS)
    for column, name in (("study", "study_id"), ("image_id", "image_id")):
        require_filled(path, rows, column, name)
    names = {f"DENSITY {letter}": code for code, letter in enumerate(DENSITIES)}
    rows["view"] = rows["view"].str.upper()
    rows["label"] = map_values(path, rows, "density", "breast_density", names)
    _require_once(path, rows)
    return rows


def _metadata(path: Path, caveats: list[str]) -> pd.DataFrame:
    """Series, scanner and age by image."""
    rows = read_manifest(path, list(_METADATA)).rename(columns=_METADATA)
    require_filled(path, rows, "series", "Series Instance UID")
    rows["scanner"] = map_values(path, rows, "model", "Manufacturer's Model Name", SCANNERS)
    _require_once(path, rows)
    rows["age"] = parse_ages(path, rows, "Patient's Age", caveats)
    return rows[["image_id", "series", "scanner", "age"]]


def _require_once(path: Path, rows: pd.DataFrame) -> None:
    again = rows[rows["image_id"].duplicated()]
    if not again.empty:
        image, line = again[["image_id", LINE]].iloc[0]
        raise CohortError(f"{path}, row {line}: image '{image}' is listed twice")
