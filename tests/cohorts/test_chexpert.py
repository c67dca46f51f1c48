"""CheXpert: a made-up release through the importer."""

from pathlib import Path

import pandas as pd
import pytest

from companion.cohorts import doctor
from companion.cohorts.cohort import NOT_RECORDED
from companion.cohorts.errors import CohortError
from companion.cohorts.fakes import chexpert
from companion.cohorts.registry import build, make_plan
from companion.cohorts.releases.chexpert import CheXpertOptions
from tests.cohorts.releases import cells, spoil
from tests.oracles import published_splits as oracle

SOURCE = "chexpert"


def test_the_import_is_the_paper_s(release: Path) -> None:
    cohort = build(CheXpertOptions(size=16), release, release.parent / "cohort")
    rows = [
        row
        for row in cells(release / "train.csv").to_dict("records")
        if row["AP/PA"] == "PA" and row["Pneumonia"] != "-1.0"
    ]
    table = cohort.table
    assert [f"CheXpert-v1.0-small/{name}" for name in table["image_id"]] == [
        row["Path"] for row in rows
    ]
    assert list(table["label"]) == [int(row["Pneumonia"] == "1.0") for row in rows]
    patients = [row["Path"].split("/")[2] for row in rows]
    assert list("patient" + table["patient_id"]) == patients
    assert list(table["split"]) == oracle.three_way(patients, 0.4, 0.15)
    assert cohort.scanners == (NOT_RECORDED,)
    assert cohort.info["evaluation_only"] is True
    assert cohort.info["table_1"]["row"] == "CheXpert"
    assert list(table["sex"][:2]) == ["", "M"]


def test_both_releases_and_no_prefix_give_the_same_cohort(release: Path) -> None:
    def rows(root: Path) -> pd.DataFrame:
        return make_plan(CheXpertOptions(), root).rows.drop(columns="path")

    expected = rows(release)
    for prefix in ("CheXpert-v1.0", "CheXpert-v1.0-small"):
        other = release.parent / prefix
        other.mkdir()
        chexpert.write(other, 48, 0, prefix)
        assert rows(other).equals(expected)
    spoil(release / "train.csv", 2, "Path", expected["source_path"].iloc[0])
    assert rows(release).equals(expected)


def in_four_archives(release: Path) -> Path:
    """The full release as Stanford delivers it: tables in one folder, patients in three others."""
    whole = release.parent / "chexpertchestxrays-u20210408"
    kinds = ("validate & csv", "train 1", "train 2", "train 3")
    parts = [whole / f"CheXpert-v1.0 batch {i} ({kind})" for i, kind in enumerate(kinds, start=1)]
    for part in parts:
        part.mkdir(parents=True)
    (release / "train.csv").rename(parts[0] / "train.csv")
    for i, patient in enumerate(sorted((release / "train").iterdir())):
        patient.rename(parts[1 + i % 3] / patient.name)
    return whole


def test_four_archives_are_one_release_and_each_points_to_all(release: Path) -> None:
    expected = make_plan(CheXpertOptions(), release).rows
    whole = in_four_archives(release)
    rows = make_plan(CheXpertOptions(), whole).rows
    own = [column for column in rows if column != "source_path"]
    assert rows[own].equals(expected[own])
    assert all((whole / path).is_file() for path in rows["source_path"])
    assert doctor.examine(whole).healthy
    first, second = sorted(whole.iterdir())[:2]
    said = doctor.examine(first)
    assert not said.healthy
    assert f"give the folder that holds all four as data root, {whole}" in said.text
    assert f"But {whole} looks like CheXpert: give that." in doctor.examine(second).text


def test_uncertain_labels_are_of_the_finding(release: Path) -> None:
    plan = make_plan(CheXpertOptions(), release)
    assert plan.left_out["label uncertain"] > 0
    with pytest.raises(CohortError, match="one class only"):
        build(CheXpertOptions(finding="Edema"), release, release.parent / "cohort")
