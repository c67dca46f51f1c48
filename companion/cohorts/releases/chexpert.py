"""CheXpert: 224,316 chest radiographs of 65,240 patients of Stanford, as published.

Reads `train.csv` and the JPEGs in `train/` of `CheXpert-v1.0` or, smaller, `CheXpert-v1.0-small`;
the paths in the table begin with either name. The data root is the folder that holds `train.csv`;
of the full release, which Stanford delivers in four archives, the folder in which their four
folders lie side by side, the table in one of them.

As in the paper, PA views are kept whose label is not uncertain; 40 % of the patients go to test,
then 15 % of the rest to validation. The publisher's own validation images are not used.

Source: Irvin et al., CheXpert, AAAI 2019, https://arxiv.org/abs/1901.07031.
"""

import re
from pathlib import Path
from typing import ClassVar, Literal, Self

import pandas as pd
from pydantic import model_validator

from companion.cohorts.cohort import NOT_RECORDED, SEXES
from companion.cohorts.errors import CohortError
from companion.cohorts.importing.paths import first_existing
from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.release import ImportOptions, PublishedCounts, Release
from companion.cohorts.importing.splits import published_splits
from companion.cohorts.importing.table import SEX_CODES, Table

TABLES = ("train.csv", "CheXpert-v1.0 batch 1 (validate & csv)/train.csv")
_PARTS = "*batch [0-9]*"  # folders of the four archives; those that end in (train 1) hold images
# fmt: off
FINDINGS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion",
    "Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion",
    "Pleural Other", "Fracture", "Support Devices",
)
# fmt: on
RELEASE = Release(
    title="CheXpert",
    access="https://stanfordaimi.azurewebsites.net, after registration",
    licence="Stanford University Dataset Research Use Agreement",
    needs={
        " or ".join(TABLES): "the table of the training images",
        f"train/patient* or {_PARTS}/patient*": "the images",
    },
    sexes=SEXES,
    tables=TABLES,
    names_scanners=False,
    published=PublishedCounts("CheXpert", 13_811, 2_449, 10_838),
    citation="Irvin J, Rajpurkar P, et al. CheXpert: A Large Chest Radiograph Dataset with "
    "Uncertainty Labels and Expert Comparison. AAAI 2019.",
    caveats=(
        "Labels are mined from radiology reports by rules; uncertain ones are left out.",
        "A finding that the report does not mention counts as negative, as in the paper.",
        "The scanner is not published: nothing can be said by scanner.",
        "The images were compressed as JPEG with 8 bits by the publisher.",
    ),
)
_COLUMNS = {"path": "Path", "sex": "Sex", "age": "Age", "view": "AP/PA"}
_PATH = re.compile(r"(?:CheXpert-v1\.0(?:-small)?/)?(train/patient(\d{5})/.+)")
_POSITIVE, _NEGATIVE, _UNCERTAIN = 1, 0, -1


class CheXpertOptions(ImportOptions):
    """Which radiographs of CheXpert make the cohort.

    Attributes:
        csv: the publisher's table in the data root; that in its archive's folder if it lies there.
        finding: the positive class, one of `FINDINGS`.
    """

    release: ClassVar = RELEASE
    source: Literal["chexpert"] = "chexpert"
    name: str = "chexpert"
    csv: str = TABLES[0]
    finding: str = "Pneumonia"
    fit: Literal["stretch", "pad", "crop"] = "crop"

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.finding not in FINDINGS:
            raise ValueError(f"finding '{self.finding}' is unknown; it is one of {FINDINGS}")
        return self


def plan(options: CheXpertOptions, data_root: Path) -> Plan:
    """The radiographs that the paper keeps, with label and split; no image is read."""
    path = data_root / first_existing(data_root, options.tables)
    table = Table.read(path, _COLUMNS | {"finding": options.finding})
    table["view"] = table["view"].str.upper()
    table.keep(table["view"] == "PA", "other view")
    table["label"] = _labels(table)
    table.keep(table["label"] != _UNCERTAIN, "label uncertain")
    table["sex"] = table.map_values("sex", SEX_CODES)
    table["age"] = table.ages()
    table.refuse(
        ~table["path"].str.fullmatch(_PATH),
        lambda row: (
            f"path '{row['path']}' is not as published, "
            "'CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg'"
        ),
    )
    table.rows[["image_id", "patient_id"]] = table["path"].str.extract(_PATH).to_numpy()
    table["source_path"] = _source_paths(data_root, table["image_id"])
    table["split"] = published_splits(table["patient_id"], test=0.40, val=0.15)
    table["scanner"] = NOT_RECORDED
    classes = (f"No {options.finding}", options.finding)
    return Plan.of(options, data_root, table, (NOT_RECORDED,), classes)


def _labels(table: Table) -> pd.Series:
    """1, 0 or -1 (uncertain); 0 where the report does not mention the finding."""
    labels = table.parse("finding").fillna(_NEGATIVE)
    table.refuse(
        ~labels.isin([_POSITIVE, _NEGATIVE, _UNCERTAIN]),
        lambda row: (
            f"{table.columns['finding']} is '{row['finding']}', expected 1, 0, -1 or nothing"
        ),
    )
    return labels.astype(int)


def _source_paths(data_root: Path, images: pd.Series) -> list[str]:
    """Each image's path under the data root, in `train/` or in the folder of one of the archives.

    Raises:
        CohortError: the root is the folder of one archive; the others lie beside it.
    """
    if (data_root / "train").is_dir():
        return list(images)
    parts = {
        patient.name: part.name
        for part in sorted(data_root.glob(_PARTS))
        for patient in part.glob("patient*")
    }
    if not parts and next(data_root.resolve().parent.glob(f"{_PARTS}/patient*"), None):
        raise CohortError(
            f"{data_root} is one of the four archives of the release; give the folder that holds "
            f"all four as data root, {data_root.resolve().parent}"
        )
    places = (image.split("/", 2) for image in images)
    return [f"{parts.get(patient, train)}/{patient}/{file}" for train, patient, file in places]
