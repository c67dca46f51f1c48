"""RSNA Pneumonia Detection Challenge: 26,684 chest radiographs of the NIH, relabelled.

Reads `stage_2_train_labels.csv` and the DICOM files in `stage_2_train_images/` of the challenge,
RSNA's list of which image is which of ChestX-ray14,
`pneumonia-challenge-dataset-mappings_2018.json`, and the NIH's own table,
`Data_Entry_2017_v2020.csv` or, where that is not there, its first release `Data_Entry_2017.csv`,
for view, sex and age; all in the data root.

- Access: https://www.kaggle.com/c/rsna-pneumonia-detection-challenge (about 4 GB); the list at
  https://www.rsna.org/artificial-intelligence/ai-image-challenge/
  rsna-pneumonia-detection-challenge-2018; the table at https://nihcc.app.box.com/v/ChestXray-NIHCC.
- Licence: the rules of the challenge; the images are free to use with credit to the NIH.
- Labels: 18 radiologists marked opacities suspect of pneumonia; 1 = at least one was marked.
- Kept, as in the paper: PA views. One row per image, however many opacities.
- Scanner: not published, so the cohort tests encoders that were pretrained elsewhere.
- Split: 30 % of the images to test, then 15 % of the rest to validation (`published_splits`), in
  the order of RSNA's list.

Source: Shih et al., Augmenting the NIH Chest Radiograph Dataset with Expert Annotations of
Possible Pneumonia, Radiology: AI 1(1), 2019, https://doi.org/10.1148/ryai.2019180041.
"""

import json
from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd

from companion.cohorts.cohort import NOT_RECORDED, SEXES
from companion.cohorts.errors import CohortError
from companion.cohorts.importing.import_options import ImportOptions
from companion.cohorts.importing.inclusion import filter_rows, require_rows
from companion.cohorts.importing.manifest import (
    LINE,
    SEX_CODES,
    map_values,
    parse_ages,
    read_manifest,
    strip_decimals,
)
from companion.cohorts.importing.paths import first_existing
from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.published_counts import PublishedCounts
from companion.cohorts.importing.published_splits import leak_caveats, train_val_test
from companion.cohorts.importing.release import Release
from companion.cohorts.releases.nih import SEX
from companion.cohorts.releases.nih import TABLES as NIH_TABLES

LABELS = "stage_2_train_labels.csv"
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
_NIH_COLUMNS = {
    "Image Index": "nih_image",
    "Patient Age": "age",
    SEX: "sex",
    "View Position": "view",
}
RELEASE = Release(
    title="RSNA Pneumonia Detection Challenge",
    access="https://www.kaggle.com/c/rsna-pneumonia-detection-challenge, after registration",
    licence="rules of the challenge; images with credit to the NIH Clinical Center",
    needs={
        LABELS: "the challenge's labels",
        "stage_2_train_images/*.dcm": "the challenge's images",
        MAPPING: "RSNA's list of which image is which of the NIH's",
        " or ".join(NIH_TABLES): "the NIH's table, for view, sex and age",
    },
    sexes=SEXES,
    tables=(LABELS, MAPPING, *NIH_TABLES),
    names_scanners=False,
    published={"": PublishedCounts("RSNA Pneumonia", 8_633, 1_524, 4_354)},
)
CITATION = (
    "Shih G, et al. Augmenting the National Institutes of Health Chest Radiograph Dataset with "
    "Expert Annotations of Possible Pneumonia. Radiology: Artificial Intelligence 1(1), 2019. "
    "Images provided by the NIH Clinical Center."
)
CAVEATS = (
    "Images of ChestX-ray14: not independent of a cohort made from that.",
    "Positive means an opacity suspect of pneumonia; other sets mine their labels from reports.",
    "The scanner is not published: nothing can be said by scanner.",
    "Sex is read as the NIH's table has it. The paper's released code gives it the opposite code "
    "of its other sets, which swaps its curves of women and men here.",
)
_LEAK = (
    "Split by image, as in the paper: {n} of the NIH's patients have images in more than one "
    "split; split_by: patient keeps them apart."
)


class RsnaOptions(ImportOptions):
    """Which radiographs of the challenge make the cohort.

    Attributes:
        split_by: 'image' as in the paper, which takes each image for a patient of its own;
            'patient' keeps all images of one of the NIH's patients in one split.
    """

    release: ClassVar = RELEASE
    source: Literal["rsna"] = "rsna"
    name: str = "rsna"
    split_by: Literal["image", "patient"] = "image"
    fit: Literal["stretch", "pad", "crop"] = "crop"


def plan(options: RsnaOptions, data_root: Path) -> Plan:
    """The radiographs that the paper keeps, with label and split; no image is read.

    Raises:
        CohortError: a table is not as published; names file and row.
    """
    path = data_root / LABELS
    nih = data_root / first_existing(data_root, NIH_TABLES)
    left_out: dict[str, int] = {}
    caveats = list(CAVEATS)
    rows = _joined(_mapping(data_root / MAPPING), _nih(nih, caveats), _labels(path))
    require_rows(path, rows, left_out)
    rows["view"] = rows["view"].str.upper()
    rows = filter_rows(path, rows, rows["view"] == "PA", "other view", left_out)
    rows["nih_patient"] = rows["nih_image"].str.partition("_")[0]
    by_image = options.split_by == "image"
    rows["patient_id"] = rows["image_id"] if by_image else rows["nih_patient"]
    rows["split"] = train_val_test(rows["patient_id"], test=0.30, val=0.15)
    rows["source_path"] = "stage_2_train_images/" + rows["image_id"] + ".dcm"
    return Plan(
        options=options,
        root=data_root,
        manifest=path,
        scanners=(NOT_RECORDED,),
        held_out_scanners=(),
        classes=("no opacity", "pneumonia"),
        rows=rows.assign(scanner=NOT_RECORDED),
        caveats=(*caveats, *leak_caveats(rows["nih_patient"], rows["split"], _LEAK)),
        citation=CITATION,
        left_out=left_out,
        published=RELEASE.published[""],
    )


def _mapping(path: Path) -> pd.DataFrame:
    """RSNA's list, in its order: the challenge's identifier and the NIH's image."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CohortError(f"{path} is missing: expected RSNA's list of images") from None
    except (ValueError, RecursionError) as error:  # lists in lists in lists
        raise CohortError(f"{path} is no JSON: {error}") from error
    if not isinstance(entries, list):
        raise CohortError(f"{path}: expected a list of images")
    for place, entry in enumerate(entries):
        keys = ("subset_img_id", "img_id")
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in keys):
            raise CohortError(f"{path}, entry {place}: expected texts {list(keys)}, found {entry}")
    pairs = [(entry["subset_img_id"], entry["img_id"]) for entry in entries]
    return pd.DataFrame(pairs, columns=["image_id", "nih_image"])


def _nih(path: Path, caveats: list[str]) -> pd.DataFrame:
    """View, sex and age of the NIH's images."""
    rows = read_manifest(path, list(_NIH_COLUMNS)).rename(columns=_NIH_COLUMNS)
    rows["sex"] = map_values(path, rows, "sex", SEX, SEX_CODES)
    rows["age"] = parse_ages(path, rows, "Patient Age", caveats)
    return rows.drop(columns=LINE)


def _labels(path: Path) -> pd.DataFrame:
    """One row per image of the challenge: its table has one per opacity."""
    names = {"patientId": "image_id", "Target": "label"}
    rows = read_manifest(path, list(names)).rename(columns=names)
    rows["label"] = map_values(
        path, rows.assign(label=strip_decimals(rows["label"])), "label", "Target", {"0": 0, "1": 1}
    )
    first = rows.drop_duplicates("image_id").set_index("image_id")
    other = rows["label"] != rows["image_id"].map(first["label"])
    if other.any():
        image, line = rows.loc[other, ["image_id", LINE]].iloc[0]
        raise CohortError(
            f"{path}, row {line}: Target of '{image}' is another than in row {first[LINE][image]}"
        )
    return first.reset_index()


def _joined(mapping: pd.DataFrame, nih: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """The images that all three tables know, in the order of the first."""
    rows = mapping.merge(nih, on="nih_image").merge(labels, on="image_id")
    return rows.drop_duplicates("image_id").reset_index(drop=True)
