"""Own images from a manifest: what is read, and each way in which a manifest can be wrong."""

import os
from pathlib import Path
from typing import Any

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

LISTED = {"scanners": ("A", "B"), "classes": ("healthy", "ill")}


def assert_nothing_left(folder: Path) -> None:
    """Neither the cohort nor its working folder exists."""
    assert not list(folder.parent.glob(f"*{folder.name}*"))


def test_rows_images_and_description_fit(source: Source, tmp_path: Path) -> None:
    said = {"caveats": ["Few images."], "citation": "Nobody 2024"}
    cohort = source.build(tmp_path / "cohort", **said)
    assert tuple(cohort.table.columns) == COLUMNS
    assert cohort.scanners == ("A", "B")
    assert cohort.classes == ("healthy", "ill")
    assert cohort.info["positive_label"] == "ill"
    assert {key: cohort.info[key] for key in said} == said
    for i, row in cohort.table.iterrows():
        frame = read_frame(source.root / row["source_path"], FrameOptions(size=8))
        np.testing.assert_array_equal(cohort.images[i], frame)
    assert cohort.checksum == checksum(cohort.images, cohort.table)
    cells = [cell for scanners in cohort.info["counts"].values() for cell in scanners.values()]
    assert sum(sum(cell.values()) for cell in cells) == 24
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
        more = {" SEX": ["Female", "m", "", "U"][i % 4], "Years": ["63", "", "007Y", "414"][i % 4]}
        more |= {"View": "PA", "Fold": "Train ", "Id": f"x{i}"}
        source.add(f"{i}.png", f"p{i}", "AB"[i % 2], "01"[i // 2 % 2], **more)
    columns = Columns(image_id="Id", sex="Sex", age="Years", view="View", split="Fold")
    cohort = source.build(tmp_path / "cohort", columns=columns)
    table = cohort.table
    assert list(table["sex"][:4]) == ["F", "M", "", ""]
    np.testing.assert_array_equal(table["age"][:4], [63, np.nan, 7, np.nan])
    assert table["image_id"][3] == "x3"
    assert set(table["view"]) == {"PA"}
    assert set(table["split"]) == {"train"}
    said = "Ages outside 0 to 120 years count as missing: 2 in manifest.csv, the first in row 5."
    assert cohort.info["caveats"][0] == said


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


def test_each_frame_option_reaches_its_use(source: Source, tmp_path: Path) -> None:
    for i, row in enumerate(source.rows):
        deep = np.random.default_rng(i).integers(0, 4096, (12, 20)).astype(np.uint16)
        Image.fromarray(deep).save(source.root / row["path"])
    changes: list[dict[str, Any]] = [{}, {"fit": "pad"}, {"fit": "crop"}, {"size": 9}]
    changes += [{"percentiles": (20, 80)}, {"splits": {"seed": 1}}]
    made = [source.build(tmp_path / f"c{i}", **change) for i, change in enumerate(changes)]
    assert len({cohort.checksum for cohort in made}) == len(changes)


def test_finished_cohort_is_never_overwritten(source: Source, tmp_path: Path) -> None:
    first = source.build(tmp_path / "cohort")
    with pytest.raises(CohortError, match="already exists"):
        source.build(tmp_path / "cohort", size=16)
    assert Cohort.load(tmp_path / "cohort").checksum == first.checksum


# Bad images


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, "is missing"),
        (lambda image: image.write_bytes(b""), "is empty"),
        (lambda image: image.write_text("no image"), "is no PNG"),
    ],
)
def test_a_bad_image_is_named_or_skipped(source, tmp_path, spoil, message):
    spoil(source.root / "img/005.png")
    with pytest.raises(CohortError, match=rf"manifest\.csv, row 7: image 'img/005.png' {message}"):
        source.build(tmp_path / "cohort")
    assert_nothing_left(tmp_path / "cohort")
    cohort = source.build(tmp_path / "cohort", "skip")
    assert len(cohort) == len(cohort.images) == 23
    (skipped,) = cohort.info["skipped"]
    assert (skipped["file"], skipped["row"]) == ("img/005.png", 7)
    assert "img/005.png" not in set(cohort.table["source_path"])
    for i, path in enumerate(cohort.table["source_path"]):
        frame = read_frame(source.root / path, FrameOptions(size=8))
        np.testing.assert_array_equal(cohort.images[i], frame)


def test_skipping_all_of_a_class_is_an_error(source: Source, tmp_path: Path) -> None:
    for row in source.rows:
        if row["label"] == "ill":
            (source.root / row["path"]).unlink()
    with pytest.raises(CohortError, match="one class only"):
        source.build(tmp_path / "cohort", "skip")
    assert_nothing_left(tmp_path / "cohort")


# Bad rows


@pytest.mark.parametrize("on_bad_image", ["error", "skip"])  # which is of images only
@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("path", "img/001.png", "image_id 'img/001.png' is a duplicate of row 3"),
        ("path", "../elsewhere.png", r"path '../elsewhere.png' leaves the data root"),
        ("path", "/elsewhere.png", "path '/.*' leaves the data root"),
        ("path", "img/link.png", "path 'img/link.png' leaves the data root"),
        ("path", "a\0b.png", "path 'a.*b.png' leaves the data root"),
        ("patient_id", "", "patient_id is empty"),
        ("scanner", "Z", "unknown scanner 'Z', expected one of"),
        ("label", "maybe", "unknown label 'maybe', expected one of"),
    ],
)
def test_bad_row_is_named_and_nothing_is_left(
    source: Source, tmp_path: Path, column: str, value: str, message: str, on_bad_image: str
) -> None:
    os.rename(source.root / "img/005.png", tmp_path / "outside.png")
    (source.root / "img/link.png").symlink_to(tmp_path / "outside.png")
    source.rows[5][column] = value
    with pytest.raises(CohortError, match=f"manifest.csv.*row 7: {message}"):
        source.build(tmp_path / "cohort", on_bad_image, **LISTED)
    assert_nothing_left(tmp_path / "cohort")


SPLIT = {"columns": {"split": "split"}}


@pytest.mark.parametrize(
    ("rows", "changes", "options", "message"),
    [
        (range(24), {"label": "ill"}, {}, r"one class only, \['ill'\]"),
        ([], {}, {"held_out_scanners": ("B",)}, r"one scanner only, \['A'\]"),
        (
            [9],
            {"patient_id": "p2"},
            SPLIT,
            "row 11: patient 'p2' is in split 'val' and, in row 4",
        ),
        ([0], {"split": "valid"}, SPLIT, "row 2: unknown split 'valid'"),
        (
            [0],
            {"scanner": "C"},
            SPLIT | {"held_out_scanners": ("C",)},
            "row 2: scanner 'C' is held out",
        ),
        ([-1], {"scanner": "C"}, SPLIT, r"scanner \['C'\] has no image in the training split"),
        ([0], {"age": "old"}, {"columns": {"age": "age"}}, "row 2: age 'old' is no number"),
        ([0], {"age": "old"}, {"columns": {"sex": "age"}}, "row 2: unknown age 'old'"),
        ([3], {"age": ""}, {"columns": {"image_id": "age"}}, "row 5: age is empty"),
    ],
)
def test_rows_that_make_no_cohort_are_named(source, tmp_path, rows, changes, options, message):
    for i, row in enumerate(source.rows):
        row |= {"split": ("train", "val", "test")[i // 8], "age": str(20 + i)}
    for i in rows:
        source.rows[i] |= changes
    with pytest.raises(CohortError, match=message):
        source.build(tmp_path / "cohort", **options)


def test_missing_column_manifest_and_root(source: Source, tmp_path: Path) -> None:
    source.write_manifest(drop=["scanner"])
    with pytest.raises(CohortError, match=r"manifest.csv, row 1: column 'scanner' occurs 0 times"):
        build(FolderOptions(), source.root, tmp_path / "cohort")
    (source.root / "manifest.csv").unlink()
    with pytest.raises(CohortError, match=r"manifest.csv is missing"):
        build(FolderOptions(), source.root, tmp_path / "cohort")
    for root in (None, tmp_path / "absent"):
        with pytest.raises(CohortError, match="is no folder"):
            build(FolderOptions(), root, tmp_path / "cohort")


@pytest.mark.parametrize("wrong", [{"scaner": "x"}, {"scanners": ("GE", "ge ")}])
def test_unknown_options_and_one_name_listed_twice_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"scaner|names something twice"):
        FolderOptions.model_validate(wrong)
