"""NIH ChestX-ray14 in the publisher's layout: made-up rows, and the real small set."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from companion.cohorts import doctor
from companion.cohorts.cohort import Cohort
from companion.cohorts.errors import CohortError
from companion.cohorts.importing.manifest import read_manifest
from companion.cohorts.registry import build
from companion.cohorts.releases import nih
from companion.cohorts.releases.nih import NihOptions
from tests.cohorts.conftest import picture

HEADER = [
    *("Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age"),
    *("Patient Gender", "View Position", "OriginalImage[Width", "Height]"),
    *("OriginalImagePixelSpacing[x", "y]"),
]
SPACINGS = ("0.14300000000000002", "0.168", "0.171", "0.139", "0.194311")
FINDINGS = ("No Finding", "Effusion|Mass", "Mass")


class Download:
    """A download of 90 images of 90 patients: each detector with each kind of finding."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows = []
        for i in range(90):
            findings, spacing = FINDINGS[i // 5 % 3], SPACINGS[i % 5]
            age, sex = str(20 + i), "FM"[i % 2]
            name = f"{i:08d}_000.png"
            self.rows.append(
                [name, findings, "0", str(i), age, sex, "PA", "10", "10", spacing, spacing]
            )

    def save(self, folders: tuple[str, ...] = ("images",), header: list[str] = HEADER) -> None:
        """Writes table and images, dealt to the folders."""
        for i, row in enumerate(self.rows):
            folder = self.root / folders[i % len(folders)]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(i)).save(folder / Path(row[0]).name)
        with (self.root / "Data_Entry_2017_v2020.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *self.rows])


@pytest.fixture
def download(tmp_path: Path) -> Download:
    """Not saved yet."""
    return Download(tmp_path / "nih")


def imported(download: Download, **options: Any) -> Cohort:
    """The download as a cohort of 8 pixels."""
    made = NihOptions.model_validate({"size": 8} | options)
    return build(made, download.root, download.root.parent / "cohort")


def test_scanner_is_the_spacing_group(download: Download) -> None:
    download.save()
    cohort = imported(download)
    assert cohort.scanners == ("DR-0.143", "DR-0.168", "DR-0.171")
    assert cohort.held_out_scanners == ("DR-0.139", "DR-0.194")
    spacing = {row[0]: row[9] for row in download.rows}
    for name, scanner in zip(cohort.table["image_id"], cohort.table["scanner"], strict=True):
        assert spacing[name].startswith(scanner.removeprefix("DR-"))


def test_several_folders_give_the_same_cohort(tmp_path: Path) -> None:
    one, twelve = Download(tmp_path / "a" / "nih"), Download(tmp_path / "b" / "nih")
    one.save()
    twelve.save(tuple(f"images_{i:03d}/images" for i in range(1, 13)))
    first, second = imported(one), imported(twelve)
    np.testing.assert_array_equal(first.images, second.images)
    assert second.table["source_path"][0].startswith("images_001/images/")
    without = [column for column in first.table if column != "source_path"]
    assert first.table[without].equals(second.table[without])


def test_labels_and_unlabelled_rows(download: Download) -> None:
    download.save()
    table = imported(download).table.merge(
        read_manifest(download.root / "Data_Entry_2017_v2020.csv", HEADER[:2]),
        left_on="image_id",
        right_on="Image Index",
    )
    expected = table["Finding Labels"].map(dict(zip(FINDINGS, (0, 1, -1), strict=True)))
    assert (table["label"] == expected).all()
    unlabelled = table[table["label"] < 0]
    assert len(unlabelled) == 18  # none of a held-out detector
    assert set(unlabelled["split"]) == {"train"}


def test_options_reach_their_use(download: Download) -> None:
    for row in download.rows[:30]:
        row[6] = "AP"
    download.save()
    everything = NihOptions(view=None)

    def make_plan(**change: Any) -> nih.Plan:
        return nih.plan(everything.model_copy(update=change), download.root)

    base = make_plan()
    assert len(base.rows) == 90 - 12
    assert set(make_plan(view="AP").rows["view"]) == {"AP"}
    assert make_plan(view="PA").left_out["other view"] == 30
    assert (make_plan(keep_unlabelled=False).rows["label"] >= 0).all()
    others = make_plan(negatives="others")
    assert others.classes == ("No Effusion", "Effusion")
    assert set(others.rows["label"]) == {0, 1}
    assert make_plan(finding="Mass").classes[1] == "Mass"
    fewer = make_plan(scanners=("DR-0.143", "DR-0.171"), held_out_scanners=())
    assert set(fewer.rows["scanner"]) == {"DR-0.143", "DR-0.171"}
    assert fewer.left_out["other detector"] == 54
    other = make_plan(splits=everything.splits.model_copy(update={"seed": 1}))
    assert not other.rows[["image_id", "split"]].equals(base.rows[["image_id", "split"]])


def test_patient_of_a_held_out_detector_is_in_test(download: Download) -> None:
    for row in download.rows:
        row[3] = str(int(row[3]) // 9)  # ten patients, all but one on held-out detectors too
    download.rows[80:] = [[*row[:3], f"x{i}", *row[4:]] for i, row in enumerate(download.rows[80:])]
    download.save()
    table = nih.plan(NihOptions(), download.root).rows
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()
    held_out = table.loc[table["scanner"].isin(["DR-0.139", "DR-0.194"]), "patient_id"]
    assert set(table.loc[table["patient_id"].isin(held_out), "split"]) == {"test"}


@pytest.mark.parametrize("ends", [[], [""]], ids=["rows of 11", "rows of 12"])
def test_the_first_release_of_the_table(download: Download, ends: list[str]) -> None:
    """Ages have units; the header ends in a comma, and not all rows do; Sex was Gender."""
    for row in download.rows:
        row[4] = f"{int(row[4]):03d}Y"
    download.rows[0][4] = "414Y"
    download.rows = [row + ends for row in download.rows]
    download.save(header=[*(name.replace("Gender", "Sex") for name in HEADER), ""])
    table = imported(download).table.set_index("image_id")
    assert len(table) == 90 - 12
    assert set(table["sex"]) == {"F", "M"}
    assert table["age"]["00000001_000.png"] == 21
    assert np.isnan(table["age"]["00000000_000.png"])


def test_the_first_table_alone_will_do(download: Download) -> None:
    download.save()
    expected = nih.plan(NihOptions(), download.root).rows
    tables = [download.root / name for name in nih.TABLES]
    tables[0].rename(tables[1])
    assert nih.plan(NihOptions(), download.root).rows.equals(expected)
    assert doctor.examine(download.root).healthy
    with pytest.raises(CohortError, match=r"mine\.csv is missing"):
        nih.plan(NihOptions(csv="mine.csv"), download.root)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (5, "X", "row 3: unknown Patient Gender or Patient Sex 'X'"),
        (9, "wide", r"row 3: OriginalImagePixelSpacing\[x 'wide' is no number"),
        (1, "Efusion", r"row 3: unknown finding \['Efusion'\]"),
        (0, "../00000001_000.png", "row 3: image '../00000001_000.png' leaves"),
        (0, "00000000_000.png", "row 3: image_id '00000000_000.png' is a duplicate of row 2"),
        (4, "old", "row 3: Patient Age 'old' is no number"),
    ],
)
def test_bad_row_is_named(download: Download, column: int, value: str, message: str) -> None:
    download.rows[1][column] = value
    download.save()
    with pytest.raises(CohortError, match=f"Data_Entry_2017_v2020.csv, {message}"):
        imported(download)
    assert [path.name for path in download.root.parent.iterdir()] == ["nih"]


def test_missing_column_and_missing_images(download: Download) -> None:
    download.save(header=["Image", *HEADER[1:]])
    with pytest.raises(CohortError, match=r"row 1: column 'Image Index' occurs 0 times"):
        imported(download)
    download.save()
    (download.root / "images").rename(download.root / "pictures")
    with pytest.raises(CohortError, match="holds no images: expected images/"):
        imported(download)


@pytest.mark.parametrize(
    "options",
    [{"finding": "Cough"}, {"scanners": ("DR-0.143", "X")}, {"held_out_scanners": ("DR-0.143",)}],
)
def test_unknown_choices_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown|at most once"):
        NihOptions.model_validate(options)


def test_real_radiographs(nih_small: Path, tmp_path: Path) -> None:
    cohort = build(NihOptions(), nih_small, tmp_path / "cohort")
    table = cohort.table
    of = table[table["label"] >= 0].groupby(["scanner", "label"]).size()
    assert of["DR-0.143"].tolist() == [225, 111]  # as counted from the publisher's table
    assert of["DR-0.168"].tolist() == [197, 33]
    assert of["DR-0.171"].tolist() == [116, 19]
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()
    assert set(table.loc[table["scanner"].isin(cohort.held_out_scanners), "split"]) == {"test"}
    means = [cohort.images[cohort.rows(scanners=[name])].mean() for name in cohort.scanners]
    assert np.ptp(means) > 10  # the detectors look different
