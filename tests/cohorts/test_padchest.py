"""PadChest: a made-up release through the importer."""

from pathlib import Path

import numpy as np

from companion.cohorts.registry import build, make_plan
from companion.cohorts.releases.padchest import TABLE, UNREADABLE, PadChestOptions
from tests.cohorts.releases import cells, lines, save
from tests.oracles import published_splits as oracle

SOURCE = "padchest"


def kept(release: Path) -> list[dict[str, str]]:
    """The rows that the paper keeps, by its own words."""
    return [
        row
        for row in cells(release / TABLE).to_dict("records")
        if row["Projection"] == "PA"
        and row["Pediatric"] == "No"
        and "'exclude'" not in row["Labels"]
        and "'suboptimal study'" not in row["Labels"]
        and row["PatientSex_DICOM"] in ("M", "F")
        and row["ImageID"] not in UNREADABLE
    ]


def test_the_import_is_the_paper_s(release: Path) -> None:
    cohort = build(PadChestOptions(size=16), release, release.parent / "cohort")
    rows, table = kept(release), cohort.table
    assert len(UNREADABLE) == len(set(UNREADABLE)) == 15
    assert list(table["image_id"]) == [row["ImageID"] for row in rows]
    assert list(table["label"]) == [int("'pneumonia'" in row["Labels"]) for row in rows]
    philips = [row["Manufacturer_DICOM"] == "PhilipsMedicalSystems" for row in rows]
    assert list(table["scanner"] == "Philips") == philips
    split = oracle.three_way([row["PatientID"] for row in rows], 0.2, 0.1)
    assert list(table["split"]) == split
    once = ("other view", "child", "labelled 'exclude'", "labelled 'suboptimal study'")
    once += ("known to be unreadable",)
    assert cohort.info["left_out"] == dict.fromkeys(once, 1) | {"sex not F or M": 2}
    assert cohort.info["table_1"]["paper"] == {"train": 64_989, "val": 7_203, "test": 17_993}
    assert cohort.info["table_1"]["here"]["test"] == split.count("test")
    assert table["age"].isna().sum() == 1
    assert table["age"][0] == 2010 - 1930
    assert cohort.images.dtype == np.uint8  # sixteen bits become eight
    assert np.percentile(cohort.images, 99) > 200
    assert np.percentile(cohort.images, 1) < 60


def test_images_in_one_folder(release: Path) -> None:
    before = make_plan(PadChestOptions(), release).rows
    together = release / "images"
    together.mkdir()
    for path in release.glob("[0-9]/*.png"):
        path.rename(together / path.name)
    after = make_plan(PadChestOptions(), release).rows
    assert set(before["source_path"].str.partition("/")[0]) == {"0", "1", "2"}
    assert all((release / path).is_file() for path in after["source_path"])
    assert list(before["split"]) == list(after["split"])


def test_numbers_that_were_floats(release: Path) -> None:
    """A column that once held a missing value: 'ImageDir' 0.0, a date 20100115.0."""
    expected = make_plan(PadChestOptions(), release).rows
    content = lines(release / TABLE)
    for column in ("ImageDir", "StudyDate_DICOM", "PatientID"):
        place = content[0].index(column)
        for row in content[1::2]:
            row[place] += ".0"
    save(release / TABLE, content)
    found = make_plan(PadChestOptions(), release).rows
    for column in ("source_path", "age", "patient_id", "split"):
        assert found[column].equals(expected[column])


def test_ages_beyond_belief_are_missing_and_said(release: Path) -> None:
    content = lines(release / TABLE)
    birth = content[0].index("PatientBirth")
    content[1][birth], content[2][birth] = "1800.0", "2050.0"
    save(release / TABLE, content)
    plan = make_plan(PadChestOptions(), release)
    assert plan.rows["age"].iloc[:2].isna().all()
    assert plan.rows["age"].max() < 120
    assert any("count as missing: 2 in PADCHEST" in caveat for caveat in plan.caveats)


def test_the_finding_reaches_the_label(release: Path) -> None:
    other = make_plan(PadChestOptions(finding="scoliosis"), release)
    assert other.classes == ("No scoliosis", "scoliosis")
    rows = kept(release)
    assert list(other.rows["label"]) == [int("'scoliosis'" in row["Labels"]) for row in rows]
