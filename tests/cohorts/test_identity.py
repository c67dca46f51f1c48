"""One person, one name, one picture: whoever is listed as two is refused, or said to be."""

import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from companion.cohorts.errors import CohortError
from companion.cohorts.importing.identity import duplicate_images, patient_key
from companion.cohorts.importing.manifest import LINE
from companion.cohorts.registry import build
from companion.cohorts.releases.nih import NihOptions
from tests.cohorts import test_nih
from tests.cohorts.conftest import Source, picture


@pytest.mark.parametrize(
    ("one", "other"),
    [("123", "123.0"), ("0012", "12"), ("p7", "P7"), ("A 7", "a7"), ("0", "000"), ("é", "e\u0301")],
)
def test_one_patient_in_two_spellings(source: Source, tmp_path: Path, one: str, other: str) -> None:
    assert patient_key(one) == patient_key(other)
    source.rows[3]["patient_id"], source.rows[8]["patient_id"] = one, other
    said = rf"row 10: patient '{other}' is written '{one}' in row 5"
    with pytest.raises(CohortError, match=said):
        source.build(tmp_path / "cohort")


@pytest.mark.parametrize(("one", "other"), [("p1", "p10"), ("1.5", "15"), ("a0", "a"), ("-1", "1")])
def test_two_patients(one: str, other: str) -> None:
    assert patient_key(one) != patient_key(other)


def test_identifiers_that_a_spreadsheet_rounded(source: Source, tmp_path: Path) -> None:
    for row in source.rows[4:6]:
        row["patient_id"] = "8.39860488694292E+35"
    said = r"row 6: patient '8\.398\S+' was rounded by a spreadsheet"
    with pytest.raises(CohortError, match=said):
        source.build(tmp_path / "cohort")


@pytest.mark.parametrize("column", ["scanner", "label"])
def test_one_name_in_two_spellings(source: Source, tmp_path: Path, column: str) -> None:
    value = source.rows[0][column]
    source.rows[4][column] = f"{value.swapcase()} "
    said = rf"row 6: {column} '{value.swapcase()}' is written '{value}' in row 2"
    with pytest.raises(CohortError, match=said):
        source.build(tmp_path / "cohort")
    listed = {"scanners": ("A", "B"), "classes": ("healthy", "ill")}
    cohort = source.build(tmp_path / "listed", **listed)
    assert cohort.scanners == listed["scanners"]
    assert cohort.classes == listed["classes"]
    assert cohort.table["scanner"][4] == "A"
    assert cohort.table["label"][4] == 0


def test_a_missing_label_is_no_class(source: Source, tmp_path: Path) -> None:
    for row in source.rows[:6]:
        row["label"] = "NA"
    with pytest.raises(CohortError, match=r"row 2: unknown label ''.*\['healthy', 'ill'\]"):
        source.build(tmp_path / "cohort")
    cohort = source.build(tmp_path / "kept", keep_unlabelled=True)
    assert cohort.classes == ("healthy", "ill")
    assert (cohort.table["label"] < 0).sum() == 6


@pytest.mark.parametrize(
    "again", ["./img/000.png", "img//000.png", "img\\000.png", "{root}/img/000.png"]
)
def test_one_file_listed_twice(source: Source, tmp_path: Path, again: str) -> None:
    source.rows[5]["path"] = again.format(root=source.root)
    with pytest.raises(
        CohortError, match=r"row 7: image_id 'img/000\.png' is a duplicate of row 2"
    ):
        source.build(tmp_path / "cohort")
    for i, row in enumerate(source.rows):
        row["id"] = str(i)
    said = r"row 7: source_path 'img/000\.png' is a duplicate of row 2"
    with pytest.raises(CohortError, match=said):
        source.build(tmp_path / "cohort", columns={"image_id": "id"})


def test_paths_as_other_systems_write_them(source: Source, tmp_path: Path) -> None:
    expected = source.build(tmp_path / "plain").table["source_path"]
    (source.root / "img/002.png").rename(source.root / unicodedata.normalize("NFD", "img/Ü.png"))
    ways = ("img\\000.png", f"{source.root}/img/001.png", unicodedata.normalize("NFC", "img/Ü.png"))
    for row, path in zip(source.rows, ways, strict=False):
        row["path"] = path
    found = source.build(tmp_path / "cohort").table["source_path"]
    assert found[:2].tolist() == expected[:2].tolist()
    assert found[2] == unicodedata.normalize("NFD", "img/Ü.png")


@pytest.mark.parametrize("how", ["copy", "link", "saved anew"])
def test_one_picture_of_two_patients(source: Source, tmp_path: Path, how: str) -> None:
    first, again = (source.root / source.rows[place]["path"] for place in (2, 9))
    again.unlink()
    if how == "copy":
        shutil.copy(first, again)
    elif how == "link":
        os.link(first, again)
    else:
        Image.open(first).save(again, compress_level=0)
        assert first.read_bytes() != again.read_bytes()
    pair = r"'img/002\.png' \(row 4\) and 'img/009\.png' \(row 11\)"
    said = f"row 11: images of two patients hold the same picture, 1 in all: {pair}"
    with pytest.raises(CohortError, match=said):
        source.build(tmp_path / "cohort")
    source.rows[9]["patient_id"] = source.rows[2]["patient_id"]
    assert len(source.build(tmp_path / "cohort")) == 24


def test_in_a_publisher_s_list_it_is_said(tmp_path: Path) -> None:
    download = test_nih.Download(tmp_path / "nih")
    download.save()
    options = NihOptions(size=8)
    table = build(options, download.root, tmp_path / "before").table.set_index("image_id")
    ids = {split: table.index[table["split"] == split][0] for split in ("train", "test")}
    images = download.root / "images"
    shutil.copy(images / ids["train"], images / ids["test"])
    after = build(options, download.root, tmp_path / "after")
    assert after.table["split"].tolist() == table["split"].tolist()
    (caveat,) = [text for text in after.info["caveats"] if "same picture" in text]
    assert "the same picture, 1 in all and 1 of them in two splits" in caveat
    assert ids["train"] in caveat
    assert ids["test"] in caveat


def test_a_file_that_is_published_twice_is_no_new_leak() -> None:
    """EMBED's published splits name test images again, which has a caveat of its own."""
    frames = np.stack([picture(1), picture(1), picture(2)])
    rows = pd.DataFrame({"patient_id": ["p", "p (test)", "q"], "source_path": ["a", "a", "b"]})
    rows = rows.assign(split="train", **{LINE: range(2, 5)})
    assert duplicate_images(Path("t.csv"), frames, rows, published=True) == []
