"""PadChest: 160,868 chest radiographs of 67,625 patients of one Spanish hospital, as published.

Reads the table and the 16-bit PNGs in the folders that its column ImageDir names (`0/` ... `54/`,
also under `images/`), or all in `images/`. As in the paper, adult PA views are kept, neither
'exclude' nor 'suboptimal study', of sex F or M, without 15 files that cannot be read; 20 % of the
patients go to test, then 10 % of the rest to validation.

Source: Bustos et al., PadChest, Medical Image Analysis 66, 2020, https://arxiv.org/abs/1901.07441.
"""

from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd

from companion.cohorts.cohort import SEXES
from companion.cohorts.importing.paths import first_existing
from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.release import ImportOptions, PublishedCounts, Release
from companion.cohorts.importing.splits import published_splits
from companion.cohorts.importing.table import (
    SEX_CODES,
    Table,
    look_up,
    normalise,
    normalise_column,
    parse_year,
    strip_decimals,
)

_COLUMNS = {
    "image_id": "ImageID",
    "folder": "ImageDir",
    "date": "StudyDate_DICOM",
    "patient_id": "PatientID",
    "birth": "PatientBirth",
    "sex": "PatientSex_DICOM",
    "view": "Projection",
    "pediatric": "Pediatric",
    "manufacturer": "Manufacturer_DICOM",
    "findings": "Labels",
}
TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
SCANNERS = ("Imaging", "Philips")
REJECTED = ("exclude", "suboptimal study")
# Named in the released code; most are cut off in the middle.
UNREADABLE = (
    "216840111366964012339356563862009072111404053_00-043-192.png",
    "216840111366964012373310883942009152114636712_00-102-045.png",
    "216840111366964012487858717522009280135853083_00-075-001.png",
    "216840111366964012558082906712009327122220177_00-102-064.png",
    "216840111366964012819207061112010281134410801_00-129-131.png",
    "216840111366964012819207061112010307142602253_04-014-084.png",
    "216840111366964012959786098432011033083840143_00-176-115.png",
    "216840111366964012989926673512011074122523403_00-163-058.png",
    "216840111366964012989926673512011083134050913_00-168-009.png",
    "216840111366964012989926673512011151082430686_00-157-045.png",
    "216840111366964013590140476722013043111952381_02-065-198.png",
    "216840111366964013590140476722013058110301622_02-056-111.png",
    "216840111366964013686042548532013208193054515_02-026-007.png",
    "216840111366964013829543166512013353113303615_02-092-190.png",
    "216840111366964013962490064942014134093945580_01-178-104.png",
)
RELEASE = Release(
    title="PadChest",
    access="https://bimcv.cipf.es/bimcv-projects/padchest/, on request",
    licence="research use agreement of BIMCV",
    needs={
        TABLE: "the table of all images",
        "[0-9]*/*.png or images/*.png or images/[0-9]*/*.png or *.png": "the images",
    },
    sexes=SEXES,
    tables=(TABLE,),
    published=PublishedCounts("PadChest", 64_989, 7_203, 17_993),
    citation="Bustos A, Pertusa A, Salinas JM, de la Iglesia-Vaya M. PadChest: A large chest x-ray "
    "image dataset with multi-label annotated reports. Medical Image Analysis 66:101797, 2020.",
    caveats=(
        "Labels come from radiology reports, most of them through a network trained on the others.",
        "Images without any label count as negative, as in the paper.",
        "The scanner is the manufacturer in the image's header; 'Imaging' is everything but "
        "Philips.",
        "All images come from one hospital.",
    ),
)


class PadChestOptions(ImportOptions):
    """Which radiographs of PadChest make the cohort.

    Attributes:
        csv: the publisher's table in the data root.
        finding: the positive class, as the column Labels writes it.
    """

    release: ClassVar = RELEASE
    source: Literal["padchest"] = "padchest"
    name: str = "padchest"
    csv: str = TABLE
    finding: str = "pneumonia"
    fit: Literal["stretch", "pad", "crop"] = "crop"


def plan(options: PadChestOptions, data_root: Path) -> Plan:
    """The radiographs that the paper keeps, with scanner, label and split; no image is read."""
    table = Table.read(data_root / options.csv, _COLUMNS)
    _include(table)
    table.require_filled("image_id", "patient_id")
    table["patient_id"] = strip_decimals(table["patient_id"])
    philips = look_up(table["manufacturer"], {"PhilipsMedicalSystems": "Philips"})
    table["scanner"] = philips.fillna("Imaging")
    finding = normalise(options.finding)
    table["label"] = [int(finding in _findings(cell)) for cell in table["findings"]]
    # Years at the study, to the year.
    table["age"] = table.ages(table.parse("date", parse_year) - table.parse("birth", parse_year))
    table["split"] = published_splits(table["patient_id"], test=0.20, val=0.10)
    table["source_path"] = [
        first_existing(data_root, _places(folder, name))
        for folder, name in zip(strip_decimals(table["folder"]), table["image_id"], strict=True)
    ]
    return Plan.of(options, data_root, table, SCANNERS, (f"No {options.finding}", options.finding))


def _include(table: Table) -> None:
    """Keeps what the paper keeps."""
    table["view"] = table["view"].str.upper()
    table.keep(table["view"] == "PA", "other view")
    table.keep(normalise_column(table["pediatric"]) == "no", "child")
    for finding in REJECTED:
        rejected = [normalise(finding) in _findings(cell) for cell in table["findings"]]
        table.keep(~pd.Series(rejected, table.rows.index), f"labelled '{finding}'")
    table["sex"] = look_up(table["sex"], SEX_CODES)
    table.keep(table["sex"].isin(["F", "M"]), "sex not F or M")
    table.keep(~table["image_id"].isin(UNREADABLE), "known to be unreadable")


def _findings(cell: str) -> set[str]:
    """The normalised labels in a cell such as "['pneumonia', 'pleural effusion']"."""
    return {normalise(part.strip(" '\"")) for part in cell.strip("[]").split(",")} - {""}


def _places(folder: str, name: str) -> tuple[str, ...]:
    """Where an image may lie: in the publisher's numbered folders, or all in one."""
    return f"{folder}/{name}", f"images/{folder}/{name}", f"images/{name}", name
