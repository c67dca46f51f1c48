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
from companion.cohorts.importing.table import LINE
from companion.cohorts.registry import build
from companion.cohorts.releases.nih import NihOptions
from tests.cohorts.releases import Nih, Source, picture


@pytest.mark.parametrize(
    ("one", "other"),
    [("123", "123.0"), ("0012", "12"), ("p7", "P7"), ("A 7", "a7"), ("0", "000"), ("é", "e\u0301")],
)
def test_one_patient_in_two_spellings(one: str, other: str) -> None:
    assert patient_key(one) == patient_key(other)


@pytest.mark.parametrize(("one", "other"), [("p1", "p10"), ("1.5", "15"), ("a0", "a"), ("-1", "1")])
def test_two_patients(one: str, other: str) -> None:
    assert patient_key(one) != patient_key(other)


def test_one_name_in_two_spellings_where_names_are_listed(source: Source, tmp_path: Path) -> None:
    source.rows[4] |= {"scanner": "a ", "label": "HEALTHY"}
    listed = {"scanners": ("A", "B"), "classes": ("healthy", "ill")}
    cohort = source.build(tmp_path / "listed", **listed)
    assert {"scanners": cohort.scanners, "classes": cohort.classes} == listed
    assert cohort.table["scanner"][4] == "A"
    assert cohort.table["label"][4] == 0


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


def test_in_a_publisher_s_list_it_is_said(nih: Nih, tmp_path: Path) -> None:
    nih.save()
    options = NihOptions(size=8)
    table = build(options, nih.root, tmp_path / "before").table.set_index("image_id")
    ids = {split: table.index[table["split"] == split][0] for split in ("train", "test")}
    images = nih.root / "images"
    shutil.copy(images / ids["train"], images / ids["test"])
    after = build(options, nih.root, tmp_path / "after")
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
