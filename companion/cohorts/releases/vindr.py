"""VinDr-Mammo: 20,000 mammograms of 5,000 examinations of two hospitals in Hanoi, as published.

Reads two tables and the DICOM files `images/<study_id>/<image_id>.dicom`. As in the paper, all
images are kept, Giotto's two models are one scanner, and 30 % of the series go to test, then 20 %
of the rest to validation.

Source: Nguyen et al., VinDr-Mammo, Scientific Data 10:277, 2023,
https://doi.org/10.1038/s41597-023-02100-7.
"""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.release import ImportOptions, PublishedCounts, Release
from companion.cohorts.importing.splits import leak_caveats, published_splits
from companion.cohorts.importing.table import Table

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
    "study": "study_id",
    "image_id": "image_id",
    "view": "view_position",
    "density": "breast_density",
}
_METADATA = {
    "image_id": "SOP Instance UID",
    "series": "Series Instance UID",
    "model": "Manufacturer's Model Name",
    "age": "Patient's Age",
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
    published=PublishedCounts("VinDr-Mammo", 11_191, 2_813, 5_996),
    citation="Nguyen HT, et al. VinDr-Mammo: A large-scale benchmark dataset for computer-aided "
    "diagnosis in full-field digital mammography. Scientific Data 10:277, 2023.",
    caveats=(
        "The publisher's own split into training and test is not the paper's and is not used.",
        "The two hospitals are not named: scanner and hospital cannot be told apart.",
        "Giotto has few images: intervals for it are wide.",
    ),
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
    """The mammograms with scanner, density and split; no image is read."""
    table, metadata = _annotations(data_root / ANNOTATIONS), _metadata(data_root / METADATA)
    known = metadata.rows[["image_id", "series", "scanner", "age"]]
    table.rows = table.rows.merge(known, "left", "image_id", validate="one_to_one")
    table.refuse(
        table["series"].isna(), lambda row: f"image '{row['image_id']}' is not in {METADATA}"
    )
    table["patient_id"] = table["series" if options.split_by == "series" else "study"]
    table["split"] = published_splits(table["patient_id"], test=0.30, val=0.20)
    table["source_path"] = "images/" + table["study"] + "/" + table["image_id"] + ".dicom"
    caveats = leak_caveats(table["study"], table["split"], _LEAK)
    table["sex"] = "F"
    present = set(table["scanner"])
    scanners = tuple(name for name in dict.fromkeys(SCANNERS.values()) if name in present)
    return Plan.of(
        options, data_root, table, scanners, DENSITIES, caveats=(*metadata.caveats, *caveats)
    )


def _annotations(path: Path) -> Table:
    """One row per image, with its breast's density as label."""
    table = Table.read(path, _COLUMNS)
    table.require_filled("study", "image_id")
    names = {f"DENSITY {letter}": code for code, letter in enumerate(DENSITIES)}
    table["view"] = table["view"].str.upper()
    table["label"] = table.map_values("density", names)
    _require_once(table)
    return table


def _metadata(path: Path) -> Table:
    """Series, scanner and age by image."""
    table = Table.read(path, _METADATA)
    table.require_filled("series")
    table["scanner"] = table.map_values("model", SCANNERS)
    _require_once(table)
    table["age"] = table.ages()
    return table


def _require_once(table: Table) -> None:
    again = table["image_id"].duplicated()
    table.refuse(again, lambda row: f"image '{row['image_id']}' is listed twice")
