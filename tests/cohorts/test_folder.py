"""Own images from a manifest: what is read, and each way in which a manifest can be wrong."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from companion.cohorts.checksum import checksum
from companion.cohorts.cohort import COLUMNS, Cohort
from companion.cohorts.errors import CohortError
from companion.cohorts.importing.image_files import FrameOptions, read_frame
from companion.cohorts.registry import build
from companion.cohorts.releases.folder import Columns, FolderOptions
from tests.cohorts.conftest import Source


def assert_nothing_left(folder: Path) -> None:
    """Neither the cohort nor its working folder exists."""
    assert not folder.exists()
    assert not list(folder.parent.glob(f".{folder.name}*"))


def test_rows_images_and_description_fit(source: Source, tmp_path: Path) -> None:
    cohort = source.build(tmp_path / "cohort")
    assert tuple(cohort.table.columns) == COLUMNS
    assert cohort.scanners == ("A", "B")
    assert cohort.classes == ("healthy", "ill")
    assert cohort.info["positive_label"] == "ill"
    for i, row in cohort.table.iterrows():
        frame = read_frame(source.root / row["source_path"], FrameOptions(size=8))
        np.testing.assert_array_equal(cohort.images[i], frame)
    assert cohort.checksum == checksum(cohort.images, cohort.table)
    assert (
        sum(sum(cell.values()) for s in cohort.info["counts"].values() for cell in s.values()) == 24
    )
    assert {path.name for path in tmp_path.iterdir()} == {"data", "cohort"}


def test_no_patient_is_in_two_splits(tmp_path: Path) -> None:
    source = Source(tmp_path / "data")
    for i in range(60):
        source.add(f"{i}.png", f"p{i // 3}", "AB"[i % 2], "yn"[i // 6 % 2])
    cohort = source.build(tmp_path / "cohort")
    splits = cohort.table.groupby("patient_id")["split"].nunique()
    assert (splits == 1).all()
    assert set(cohort.table["split"]) == {"train", "val", "test"}


def test_optional_columns_under_other_names(tmp_path: Path) -> None:
    source = Source(tmp_path / "data")
    for i in range(8):
        more = {"Sex": ["Female", "m", "", "U"][i % 4], "Years": ["63", "", "007Y", "9.5"][i % 4]}
        more |= {"View": "PA", "Fold": "train", "Id": f"x{i}"}
        source.add(f"{i}.png", f"p{i}", "AB"[i % 2], "01"[i // 2 % 2], **more)
    columns = Columns(image_id="Id", sex="Sex", age="Years", view="View", split="Fold")
    table = source.build(tmp_path / "cohort", columns=columns).table
    assert list(table["sex"][:4]) == ["F", "M", "", ""]
    np.testing.assert_array_equal(table["age"][:4], [63, np.nan, 7, 9.5])
    assert table["image_id"][3] == "x3"
    assert set(table["view"]) == {"PA"}
    assert set(table["split"]) == {"train"}


def test_held_out_scanner_takes_its_patients_to_test(source: Source, tmp_path: Path) -> None:
    source.add("h.png", "p0", "C", "ill")  # p0 was also seen by scanner A
    source.add("g.png", "new", "C", "healthy")
    cohort = source.build(tmp_path / "cohort", held_out_scanners=("C",))
    assert cohort.scanners == ("A", "B")
    split = cohort.table.set_index("image_id")["split"]
    assert split[["h.png", "g.png", "img/000.png"]].eq("test").all()


def test_unlabelled_rows_are_for_training_only(source: Source, tmp_path: Path) -> None:
    for row in source.rows[:12]:
        row["label"] = ""
    with pytest.raises(CohortError, match="row 2: unknown label ''"):
        source.build(tmp_path / "no")
    cohort = source.build(tmp_path / "cohort", keep_unlabelled=True)
    unlabelled = cohort.table[cohort.table["label"] < 0]
    assert len(unlabelled) == 12
    assert set(unlabelled["split"]) == {"train"}
    rows = cohort.rows("train")
    assert len(cohort.labelled(rows)) == len(rows) - 12
    assert cohort.info["counts"]["train"]["A"]["unlabelled"] == 6


def test_class_order_is_the_listed_one(source: Source, tmp_path: Path) -> None:
    cohort = source.build(tmp_path / "cohort", classes=("ill", "healthy"), scanners=("B", "A"))
    assert cohort.info["positive_label"] == "healthy"
    assert cohort.scanners == ("B", "A")
    assert cohort.table["label"][0] == 1


def test_mixed_formats(source: Source, tmp_path: Path) -> None:
    for place, suffix in enumerate((".jpg", ".tif", ".pgm")):
        row = source.rows[place]
        image = Image.open(source.root / row["path"])
        row["path"] = row["path"].replace(".png", suffix)
        image.save(source.root / row["path"])
    assert len(source.build(tmp_path / "cohort")) == 24


def spoil(source: Source, how: str) -> None:
    """Makes row 7 of the manifest (the sixth image) wrong in one way."""
    row = source.rows[5]
    image = source.root / row["path"]
    if how == "missing image":
        image.unlink()
    elif how == "empty image":
        image.write_bytes(b"")
    elif how == "unreadable image":
        image.write_bytes(image.read_bytes()[:60])
    elif how == "text":
        image.write_text("no image")
    elif how == "duplicate":
        row["path"] = source.rows[1]["path"]
    elif how == "outside":
        row["path"] = "../elsewhere.png"
    elif how == "absolute":
        row["path"] = str(source.root.parent / "elsewhere.png")
    elif how == "link":
        outside = source.root.parent / "outside.png"
        os.rename(image, outside)
        image.symlink_to(outside)
    elif how == "NUL":
        row["path"] = "a\0b.png"
    elif how == "no patient":
        row["patient_id"] = ""
    elif how == "scanner":
        row["scanner"] = "Z"
    elif how == "label":
        row["label"] = "maybe"


LISTED = {"scanners": ("A", "B"), "classes": ("healthy", "ill")}
BAD_IMAGES = ["missing image", "empty image", "unreadable image", "text"]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing image", "row 7: image 'img/005.png' is missing"),
        ("empty image", "row 7: image 'img/005.png' is empty"),
        ("unreadable image", "row 7: image 'img/005.png' cannot be read"),
        ("text", "row 7: image 'img/005.png' is no PNG"),
        ("duplicate", "row 7: image_id 'img/001.png' is a duplicate of row 3"),
        ("outside", r"row 7: path '../elsewhere.png' leaves the data root"),
        ("absolute", "row 7: path '/.*' leaves the data root"),
        ("link", "row 7: path 'img/005.png' leaves the data root"),
        ("NUL", "row 7|no CSV"),
        ("no patient", "row 7: patient_id is empty"),
        ("scanner", "row 7: unknown scanner 'Z', expected one of"),
        ("label", "row 7: unknown label 'maybe', expected one of"),
    ],
)
def test_bad_row_is_named_and_nothing_is_left(
    source: Source, tmp_path: Path, how: str, message: str
) -> None:
    spoil(source, how)
    with pytest.raises(CohortError, match=f"manifest.csv.*{message}"):
        source.build(tmp_path / "cohort", **LISTED)
    assert_nothing_left(tmp_path / "cohort")


@pytest.mark.parametrize("how", BAD_IMAGES)
def test_skip_imports_the_rest_and_records_it(source: Source, tmp_path: Path, how: str) -> None:
    spoil(source, how)
    cohort = source.build(tmp_path / "cohort", "skip")
    assert len(cohort) == len(cohort.images) == 23
    (skipped,) = json.loads((tmp_path / "cohort" / "cohort.json").read_text())["skipped"]
    assert (skipped["file"], skipped["row"]) == ("img/005.png", 7)
    assert "img/005.png" not in set(cohort.table["source_path"])
    for i, path in enumerate(cohort.table["source_path"]):
        frame = read_frame(source.root / path, FrameOptions(size=8))
        np.testing.assert_array_equal(cohort.images[i], frame)


@pytest.mark.parametrize("how", ["outside", "duplicate", "scanner"])
def test_skip_is_for_images_only(source: Source, tmp_path: Path, how: str) -> None:
    spoil(source, how)
    with pytest.raises(CohortError, match="row 7"):
        source.build(tmp_path / "cohort", "skip", **LISTED)


def test_skipping_all_of_a_class_is_an_error(source: Source, tmp_path: Path) -> None:
    for row in source.rows:
        if row["label"] == "ill":
            (source.root / row["path"]).unlink()
    with pytest.raises(CohortError, match="one class only"):
        source.build(tmp_path / "cohort", "skip")
    assert_nothing_left(tmp_path / "cohort")


@pytest.mark.parametrize("column", ["path", "patient_id", "scanner", "label"])
def test_missing_column(source: Source, tmp_path: Path, column: str) -> None:
    source.write_manifest(drop=[column])
    with pytest.raises(CohortError, match=f"manifest.csv, row 1: column '{column}' occurs 0 times"):
        build(FolderOptions(), source.root, tmp_path / "cohort")


def test_missing_manifest_and_root(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"manifest.csv is missing"):
        build(FolderOptions(), tmp_path, tmp_path / "cohort")
    for root in (None, tmp_path / "absent"):
        with pytest.raises(CohortError, match="is no folder"):
            build(FolderOptions(), root, tmp_path / "cohort")


def test_manifest_outside_the_root(source: Source, tmp_path: Path) -> None:
    source.write_manifest()
    (source.root / "manifest.csv").rename(tmp_path / "manifest.csv")
    with pytest.raises(CohortError, match="outside the data root"):
        build(FolderOptions(manifest="../manifest.csv"), source.root, tmp_path / "cohort")


def test_row_of_another_length(source: Source, tmp_path: Path) -> None:
    source.write_manifest()
    path = source.root / "manifest.csv"
    lines = path.read_text().splitlines()
    lines[4] += ",extra"
    path.write_text("\n".join(lines))
    with pytest.raises(CohortError, match="row 5: 5 values, the header has 4"):
        build(FolderOptions(), source.root, tmp_path / "cohort")


def test_row_is_the_line_an_editor_shows(source: Source, tmp_path: Path) -> None:
    for row in source.rows:
        row["note"] = "none"
    source.write_manifest()
    path = source.root / "manifest.csv"
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace("none", '"no\nne"')  # a value over two lines, then an empty line
    path.write_text("\n".join([*lines[:4], "", *lines[4:]]), encoding="utf-8-sig")
    (source.root / "img/005.png").unlink()
    with pytest.raises(CohortError, match=r"row 9: image 'img/005\.png'"):
        build(FolderOptions(), source.root, tmp_path / "cohort")


def test_manifest_that_is_not_utf8(source: Source, tmp_path: Path) -> None:
    source.root.joinpath("manifest.csv").write_bytes(b"path,label\nM\xfcller,1\n")
    with pytest.raises(CohortError, match="no CSV file in UTF-8"):
        build(FolderOptions(), source.root, tmp_path / "cohort")


def test_one_class_only(source: Source, tmp_path: Path) -> None:
    for row in source.rows:
        row["label"] = "ill"
    with pytest.raises(CohortError, match=r"one class only, \['ill'\]"):
        source.build(tmp_path / "cohort")


def test_one_scanner_only(source: Source, tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"one scanner only, \['A'\]"):
        source.build(tmp_path / "cohort", held_out_scanners=("B",))


def with_splits(source: Source) -> Columns:
    """Gives the rows splits in thirds and says so."""
    for i, row in enumerate(source.rows):
        row["split"] = ("train", "val", "test")[i // 8]
    return Columns(split="split")


def test_patient_in_two_splits(source: Source, tmp_path: Path) -> None:
    columns = with_splits(source)
    source.rows[9]["patient_id"] = "p2"
    with pytest.raises(CohortError, match="row 11: patient 'p2' is in split 'val' and, in row 4, "):
        source.build(tmp_path / "cohort", columns=columns)


def test_splits_sex_and_columns_in_other_letters(source: Source, tmp_path: Path) -> None:
    columns = with_splits(source)
    for row in source.rows:
        row |= {"split": row["split"].title() + " ", " SEX": "male ", "Age": "414Y"}
    columns = columns.model_copy(update={"sex": "Sex", "age": "age"})
    cohort = source.build(tmp_path / "cohort", columns=columns)
    assert cohort.table["split"].value_counts().to_dict() == {"train": 8, "val": 8, "test": 8}
    assert set(cohort.table["sex"]) == {"M"}
    assert cohort.table["age"].isna().all()
    said = "Ages outside 0 to 120 years count as missing: 24 in manifest.csv, the first in row 2."
    assert cohort.info["caveats"][0] == said


def test_one_name_listed_twice() -> None:
    with pytest.raises(ValueError, match="names something twice"):
        FolderOptions(scanners=("GE", "ge "))


def test_unknown_split(source: Source, tmp_path: Path) -> None:
    columns = with_splits(source)
    source.rows[0]["split"] = "valid"
    with pytest.raises(CohortError, match="row 2: unknown split 'valid'"):
        source.build(tmp_path / "cohort", columns=columns)


def test_held_out_scanner_outside_test(source: Source, tmp_path: Path) -> None:
    columns = with_splits(source)
    source.rows[0]["scanner"] = "C"
    with pytest.raises(CohortError, match="row 2: scanner 'C' is held out"):
        source.build(tmp_path / "cohort", columns=columns, held_out_scanners=("C",))


def test_scanner_without_training_images(source: Source, tmp_path: Path) -> None:
    columns = with_splits(source)
    source.rows[-1]["scanner"] = "C"
    with pytest.raises(CohortError, match=r"scanner \['C'\] has no image in the training split"):
        source.build(tmp_path / "cohort", columns=columns)


def test_bad_age_and_sex(source: Source, tmp_path: Path) -> None:
    for row in source.rows:
        row |= {"age": "old", "sex": "F"}
    with pytest.raises(CohortError, match="row 2: age 'old' is no number"):
        source.build(tmp_path / "cohort", columns=Columns(age="age"))
    with pytest.raises(CohortError, match="row 2: unknown age 'old'"):
        source.build(tmp_path / "cohort", columns=Columns(sex="age"))


def test_empty_identifier(source: Source, tmp_path: Path) -> None:
    for i, row in enumerate(source.rows):
        row["id"] = str(i) if i != 3 else ""
    with pytest.raises(CohortError, match="row 5: id is empty"):
        source.build(tmp_path / "cohort", columns=Columns(image_id="id"))


def test_unknown_option_is_an_error() -> None:
    with pytest.raises(ValueError, match="scaner"):
        FolderOptions.model_validate({"scaner": "x"})


def test_finished_cohort_is_never_overwritten(source: Source, tmp_path: Path) -> None:
    first = source.build(tmp_path / "cohort")
    with pytest.raises(CohortError, match="already exists"):
        source.build(tmp_path / "cohort", size=16)
    assert Cohort.load(tmp_path / "cohort").checksum == first.checksum


def test_each_frame_option_reaches_its_use(tmp_path: Path) -> None:
    source = Source(tmp_path / "data")
    for i in range(24):
        source.add(f"{i}.png", f"p{i}", "AB"[i % 2], "01"[i // 2 % 2])
        deep = np.random.default_rng(i).integers(0, 4096, (12, 20)).astype(np.uint16)
        Image.fromarray(deep).save(source.root / f"{i}.png")
    sums = {source.build(tmp_path / "0").checksum}
    changes = [{"fit": "pad"}, {"fit": "crop"}, {"percentiles": (20, 80)}, {"size": 9}]
    for place, change in enumerate([*changes, {"splits": {"seed": 1}}]):
        sums.add(source.build(tmp_path / f"c{place}", **change).checksum)
    assert len(sums) == 6


def test_caveats_and_citation_reach_the_description(source: Source, tmp_path: Path) -> None:
    said = {"caveats": ["Few images."], "citation": "Nobody 2024"}
    info = source.build(tmp_path / "cohort", **said).info
    assert {key: info[key] for key in said} == said
