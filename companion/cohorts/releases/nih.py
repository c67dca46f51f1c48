"""NIH ChestX-ray14: 112,120 frontal chest radiographs of 30,805 patients, as published.

Reads `Data_Entry_2017_v2020.csv` or, where that is not there, its first release
`Data_Entry_2017.csv`, and the images in `images/` or, as the full download unpacks,
`images_001/images/` to `images_012/images/`. Labels were mined from radiology reports by the
publisher; the scanner is not published and is inferred here from the detector's pixel spacing.

Images without a label (`label` -1): contrastive pretraining and the generator need none, so
radiographs with other findings than the one asked for are kept, in the training split only.
`Cohort.labelled` leaves them out again where labels are needed.

Source: Wang et al., ChestX-ray8, CVPR 2017, https://arxiv.org/abs/1705.02315; data at
https://nihcc.app.box.com/v/ChestXray-NIHCC.
"""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from companion.cohorts.cohort import SEXES
from companion.cohorts.errors import CohortError
from companion.cohorts.importing.paths import first_existing
from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.release import ImportOptions, Release
from companion.cohorts.importing.splits import SplitOptions, split_by_patient
from companion.cohorts.importing.table import SEX_CODES, Table, normalise, strip_decimals

TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")  # the later first: fewer faults
SEX = "Patient Gender or Patient Sex"  # renamed by the publisher
# The publisher's header leaves "OriginalImagePixelSpacing[x,y]" unquoted, so that its comma makes
# two columns; the names below are the broken ones.
_COLUMNS = {
    "image_id": "Image Index",
    "findings": "Finding Labels",
    "patient_id": "Patient ID",
    "age": "Patient Age",
    "sex": SEX,
    "view": "View Position",
    "spacing": "OriginalImagePixelSpacing[x",
}
# Detector by pixel spacing in mm, [low, high): each group is close to one scanner.
DETECTORS = {
    "DR-0.139": (0.1385, 0.1395),
    "DR-0.143": (0.1425, 0.1435),
    "DR-0.168": (0.1675, 0.1685),
    "DR-0.171": (0.1705, 0.1715),
    "DR-0.194": (0.1935, 0.1946),
}
NO_FINDING = "No Finding"
# fmt: off
FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis",
    "Hernia", "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
)
# fmt: on
_SPELLING = {normalise(name): name for name in (*FINDINGS, NO_FINDING)}
RELEASE = Release(
    title="NIH ChestX-ray14",
    access="https://nihcc.app.box.com/v/ChestXray-NIHCC, free",
    licence="free to use with credit to the NIH Clinical Center",
    needs={
        " or ".join(TABLES): "the table of all images",
        "images/*.png or images_*/images/*.png": "the images",
    },
    sexes=SEXES,
    tables=TABLES,
    citation="Wang X, Peng Y, Lu L, Lu Z, Bagheri M, Summers RM. ChestX-ray8: Hospital-scale Chest "
    "X-ray Database and Benchmarks. CVPR 2017. Images provided by the NIH Clinical Center.",
    caveats=(
        "The scanner is inferred from the pixel spacing of the original image, not recorded.",
        "All images come from one hospital.",
        "DR-0.143 and DR-0.194 hold PA views only: with views mixed, scanner and view are "
        "confounded.",
        "Labels are text-mined from radiology reports.",
        "Prevalence differs by detector; in a subset drawn from several sources, also by sampling.",
        "In a subset with images of several sizes, a faint trace of the size survives the "
        "resizing; where the size goes with the label or the detector, so does the trace.",
    ),
)


class NihOptions(ImportOptions):
    """Which radiographs of ChestX-ray14 make the cohort.

    Attributes:
        csv: the publisher's table in the data root; its first release if that alone is there.
        finding: the positive class, one of `FINDINGS`.
        negatives: 'no finding' takes images without any finding as negative and has images with
            other findings as unlabelled; 'others' takes every image without `finding`.
        view: 'PA', 'AP', or None for both.
        scanners: detectors in pretraining, keys of `DETECTORS`.
        held_out_scanners: detectors in the test split only.
        keep_unlabelled: keep unlabelled images of pretraining scanners for training.
        splits: shares of the patients. A patient whom a held-out detector saw is in test.
    """

    release: ClassVar = RELEASE
    source: Literal["nih"] = "nih"
    name: str = "nih"
    csv: str = TABLES[0]
    finding: str = "Effusion"
    negatives: Literal["no finding", "others"] = "no finding"
    view: Literal["PA", "AP"] | None = "PA"
    scanners: tuple[str, ...] = ("DR-0.143", "DR-0.168", "DR-0.171")
    held_out_scanners: tuple[str, ...] = ("DR-0.139", "DR-0.194")
    keep_unlabelled: bool = True
    splits: SplitOptions = Field(default_factory=SplitOptions)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.finding not in FINDINGS:
            raise ValueError(f"finding '{self.finding}' is unknown; it is one of {FINDINGS}")
        names = (*self.scanners, *self.held_out_scanners)
        unknown = set(names) - set(DETECTORS)
        if unknown or len(set(names)) < len(names):
            raise ValueError(f"scanners {names}: expected each at most once of {[*DETECTORS]}")
        return self

    @property
    def classes(self) -> tuple[str, str]:
        """Names of the labels 0 and 1."""
        negative = NO_FINDING if self.negatives == "no finding" else f"No {self.finding}"
        return negative, self.finding


def plan(options: NihOptions, data_root: Path) -> Plan:
    """The rows that the options select, with split and label; no image is read."""
    path = data_root / first_existing(data_root, options.tables)
    table = Table.read(path, _COLUMNS)
    table["scanner"] = [_scanner(spacing) for spacing in table.parse("spacing")]
    used = table["scanner"].isin([*options.scanners, *options.held_out_scanners])
    table.keep(used, "other detector")
    table["view"] = table["view"].str.upper()
    if options.view is not None:
        table.keep(table["view"] == options.view, "other view")
    table["patient_id"] = strip_decimals(table["patient_id"])
    table["label"] = _labels(table, options)
    table["split"] = split_by_patient(table.rows, options.held_out_scanners, options.splits)
    unlabelled = options.keep_unlabelled & (table["split"] == "train")
    table.keep((table["label"] >= 0) | unlabelled, "no label")
    table["age"] = table.ages()
    table["sex"] = table.map_values("sex", SEX_CODES)
    table["source_path"] = _source_paths(table, data_root)
    return Plan.of(options, data_root, table, options.scanners, options.classes)


def _scanner(spacing: float) -> str:
    """Detector by pixel spacing, mm; '' outside all groups."""
    return next((name for name, (low, high) in DETECTORS.items() if low <= spacing < high), "")


def _labels(table: Table, options: NihOptions) -> list[int]:
    """1 = the finding, 0 = negative, -1 = neither."""
    known = {*FINDINGS, NO_FINDING}
    table.refuse(
        table["findings"].map(lambda text: not _findings(text) <= known),
        lambda row: (
            f"unknown finding {sorted(_findings(row['findings']) - known)}; expected "
            f"{NO_FINDING!r} or some of {FINDINGS} with '|' between"
        ),
    )
    return [_label(_findings(text), options) for text in table["findings"]]


def _findings(text: str) -> set[str]:
    """The findings in a cell such as 'Effusion|Mass', as `FINDINGS` writes them."""
    return {_SPELLING.get(normalise(part), part) for part in text.split("|")}


def _label(findings: set[str], options: NihOptions) -> int:
    negative = options.negatives == "others" or NO_FINDING in findings
    return 1 if options.finding in findings else 0 if negative else -1


def _source_paths(table: Table, data_root: Path) -> list[str]:
    """Path of each image under the root; a missing one gets the place where it should be."""
    folders = _image_folders(data_root)
    where = {file.name: folder for folder in folders[::-1] for file in folder.iterdir()}
    table.refuse(
        table["image_id"].map(lambda name: Path(name).name != name),
        lambda row: f"image '{row['image_id']}' leaves {folders[0]}; expected a plain file name",
    )
    paths = (where.get(name, folders[0]) / name for name in table["image_id"])
    return [path.relative_to(data_root).as_posix() for path in paths]


def _image_folders(data_root: Path) -> list[Path]:
    candidates = [data_root / "images", *sorted(data_root.glob("images_*/images"))]
    folders = [folder for folder in candidates if folder.is_dir()]
    if not folders:
        raise CohortError(
            f"{data_root} holds no images: expected images/ or images_001/images/, ... in it"
        )
    return folders
