"""RSNA Pneumonia Detection Challenge: 26,684 chest radiographs of the NIH, relabelled.

Reads the challenge's labels and DICOM files, RSNA's list of which image is which of ChestX-ray14
(https://www.rsna.org/artificial-intelligence/ai-image-challenge/
rsna-pneumonia-detection-challenge-2018), and the NIH's own table for view, sex and age
(https://nihcc.app.box.com/v/ChestXray-NIHCC); all in the data root.

The label is 1 where radiologists marked an opacity, one row per image, however many. As in the
paper, PA views are kept; 30 % of the images go to test, then 15 % of the rest to validation, in the
order of RSNA's list.

Source: Shih et al., Augmenting the NIH Chest Radiograph Dataset with Expert Annotations of
Possible Pneumonia, Radiology: AI 1(1), 2019, https://doi.org/10.1148/ryai.2019180041.
"""

import json
from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd

from companion.cohorts.cohort import NOT_RECORDED, SEXES
from companion.cohorts.errors import CohortError
from companion.cohorts.importing.paths import first_existing
from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.release import ImportOptions, PublishedCounts, Release
from companion.cohorts.importing.splits import leak_caveats, published_splits
from companion.cohorts.importing.table import LINE, SEX_CODES, Table, strip_decimals
from companion.cohorts.releases.nih import SEX
from companion.cohorts.releases.nih import TABLES as NIH_TABLES

LABELS = "stage_2_train_labels.csv"
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
_NIH_COLUMNS = {
    "nih_image": "Image Index",
    "age": "Patient Age",
    "sex": SEX,
    "view": "View Position",
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
    published=PublishedCounts("RSNA Pneumonia", 8_633, 1_524, 4_354),
    citation="Shih G, et al. Augmenting the National Institutes of Health Chest Radiograph Dataset "
    "with Expert Annotations of Possible Pneumonia. Radiology: Artificial Intelligence 1(1), 2019. "
    "Images provided by the NIH Clinical Center.",
    caveats=(
        "Images of ChestX-ray14: not independent of a cohort made from that.",
        "Positive means an opacity suspect of pneumonia; other sets mine their labels from "
        "reports.",
        "The scanner is not published: nothing can be said by scanner.",
        "Sex is read as the NIH's table has it. The paper's released code gives it the opposite "
        "code of its other sets, which swaps its curves of women and men here.",
    ),
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
    """The radiographs that the paper keeps, with label and split; no image is read."""
    nih = _nih(data_root / first_existing(data_root, NIH_TABLES))
    table = _labels(data_root / LABELS)
    table.rows = _joined(_mapping(data_root / MAPPING), nih.rows, table.rows)
    table.require_rows()
    table["view"] = table["view"].str.upper()
    table.keep(table["view"] == "PA", "other view")
    table["nih_patient"] = table["nih_image"].str.partition("_")[0]
    by_image = options.split_by == "image"
    table["patient_id"] = table["image_id"] if by_image else table["nih_patient"]
    table["split"] = published_splits(table["patient_id"], test=0.30, val=0.15)
    table["source_path"] = "stage_2_train_images/" + table["image_id"] + ".dcm"
    caveats = leak_caveats(table["nih_patient"], table["split"], _LEAK)
    table["scanner"] = NOT_RECORDED
    return Plan.of(
        options,
        data_root,
        table,
        (NOT_RECORDED,),
        ("no opacity", "pneumonia"),
        caveats=(*nih.caveats, *caveats),
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


def _nih(path: Path) -> Table:
    """View, sex and age of the NIH's images."""
    table = Table.read(path, _NIH_COLUMNS)
    table["sex"] = table.map_values("sex", SEX_CODES)
    table["age"] = table.ages()
    return table


def _labels(path: Path) -> Table:
    """One row per image of the challenge: its table has one per opacity."""
    table = Table.read(path, {"image_id": "patientId", "label": "Target"})
    table["label"] = strip_decimals(table["label"])
    table["label"] = table.map_values("label", {"0": 0, "1": 1})
    table.keep_first("image_id", "label", "Target of '{}' is another than in row {}")
    return table


def _joined(mapping: pd.DataFrame, nih: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """The images that all three tables know, in the order of the first."""
    rows = mapping.merge(nih.drop(columns=LINE), on="nih_image").merge(labels, on="image_id")
    return rows.drop_duplicates("image_id").reset_index(drop=True)
