"""Own images from a manifest: what is read, and each way in which a manifest can be wrong."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from companion.cohorts.cohort import COLUMNS, UNLABELLED, Cohort, checksum
from companion.cohorts.errors import CohortError
from companion.cohorts.importing.image_files import FrameOptions, read_frame
from companion.cohorts.registry import build
from companion.cohorts.releases.folder import Columns, FolderOptions
from companion.evaluation.results import POOLED
from companion.quality.summary import ALL
from tests.cohorts.releases import Source, assert_nothing_left, own_images, picture
from tests.cohorts.variants.dicom import DICOM, write_dicom
from tests.cohorts.variants.picture import Maker, plain
from tests.cohorts.variants.raster import JPEG, PGM, PNG
from tests.cohorts.variants.tiff import TIFF, tiff


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


def test_optional_columns_under_other_names(tmp_path: Path) -> None:
    source = Source(tmp_path / "data")
    for i in range(12):
        more = {
            " SEX": ["F E MALE", "m", "", "U"][i % 4],
            "Years": ["120", "-1", "007Y", "414"][i % 4],
        }
        more |= {"View": "PA", "Fold": ("Train ", "VAL", "test")[i // 4], "Id": f"x{i}"}
        source.add(f"{i}.png", f"p{i}", "AB"[i % 2], "01"[i // 2 % 2], **more)
    columns = Columns(image_id="Id", sex="Sex", age="Years", view="View", split="Fold")
    cohort = source.build(tmp_path / "cohort", columns=columns)
    table = cohort.table
    assert list(table["sex"][:4]) == ["F", "M", "", ""]
    np.testing.assert_array_equal(table["age"][:4], [120, np.nan, 7, np.nan])
    assert table["image_id"][3] == "x3"
    assert set(table["view"]) == {"PA"}
    assert table["split"].tolist() == ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    said = "Ages outside 0 to 120 years count as missing: 6 in manifest.csv, the first in row 3."
    assert cohort.info["caveats"][0] == said


def test_held_out_scanner_takes_its_patients_to_test(source: Source, tmp_path: Path) -> None:
    source.add("h.png", "p0", "C", "ill")  # p0 was also seen by scanner A
    source.add("g.png", "new", "C", "healthy")
    cohort = source.build(tmp_path / "cohort", held_out_scanners=("C",))
    assert cohort.scanners == ("A", "B")
    split = cohort.table.set_index("image_id")["split"]
    assert split[["h.png", "g.png", "img/000.png"]].eq("test").all()


def test_unlabelled_rows_are_for_training_only(source: Source, tmp_path: Path) -> None:
    for row in source.rows[:8]:
        row["label"] = ""
    with pytest.raises(CohortError, match="row 2: unknown label ''"):
        source.build(tmp_path / "no")
    cohort = source.build(tmp_path / "cohort", keep_unlabelled=True)
    unlabelled = cohort.table[cohort.table["label"] < 0]
    assert len(unlabelled) == 8
    assert set(unlabelled["split"]) == {"train"}
    rows = cohort.rows("train")
    assert len(cohort.labelled(rows)) == len(rows) - 8
    assert cohort.info["counts"]["train"]["A"]["unlabelled"] == 4


def test_a_held_out_scanner_may_be_the_only_one_that_shows_every_class_in_test(source, tmp_path):
    for i, row in enumerate(source.rows):
        row["split"] = ("train", "val", "test")[i // 8]
        row["scanner"] = "C" if i >= 18 else row["scanner"]
    cohort = source.build(tmp_path / "cohort", held_out_scanners=("C",), **SPLIT)
    assert set(cohort.table["label"][cohort.rows("test", "pretraining")]) == {0}
    for row in source.rows[16:]:
        row["scanner"] = "C"
    with pytest.raises(CohortError, match="'test' has no image"):
        source.build(tmp_path / "again", held_out_scanners=("C",), **SPLIT)


def test_class_order_is_the_listed_one(source: Source, tmp_path: Path) -> None:
    cohort = source.build(tmp_path / "cohort", classes=("ill", "healthy"), scanners=("B", "A"))
    assert cohort.info["positive_label"] == "healthy"
    assert cohort.scanners == ("B", "A")
    assert cohort.table["label"][0] == 1


def test_finished_cohort_is_never_overwritten(source: Source, tmp_path: Path) -> None:
    first = source.build(tmp_path / "cohort")
    with pytest.raises(CohortError, match="already exists"):
        source.build(tmp_path / "cohort", size=16)
    assert Cohort.load(tmp_path / "cohort").checksum == first.checksum


# Bad images


def cut(make: Maker) -> Callable[[Path], None]:
    """Leaves two thirds of a file."""

    def spoil(path: Path) -> None:
        make(path)
        os.truncate(path, path.stat().st_size * 2 // 3)

    return spoil


def instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def dicom(**tags: int) -> Callable[[Path], Path]:
    return lambda path: write_dicom(path, picture(0), **tags)


BAD_IMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "is missing"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "folder": (instead, "is missing"),
    "text": (lambda path: path.write_text("no image"), "is no PNG, JPEG, TIFF, PGM or DICOM image"),
    "blank": (Image.new("L", (16, 16), 7).save, "is blank"),
    "not finite": (tiff(np.full((8, 8), np.nan, np.float32), plain(8)), ".*not finite"),
    "frames": (dicom(NumberOfFrames=10_000), "holds 10000 frames"),
    "sides": (dicom(Rows=65_535, Columns=65_535), "claims 65535 x 65535 pixels"),
    "cut PNG": (cut(PNG["grey, 8 bit"]), "cannot be read"),
    "cut PNG of 16 bit": (cut(PNG["grey, 16 bit"]), "cannot be read"),
    "cut JPEG": (cut(JPEG["grey, 8 bit"]), "cannot be read"),
    "cut DICOM": (cut(DICOM["grey, 8 bit"]), "cannot be read"),
    "cut TIFF": (cut(TIFF["grey, 8 bit"]), "cannot be read"),
    "cut TIFF in tiles": (cut(TIFF["tiled RGB, 16 bit"]), "cannot be read"),
    "cut TIFF, deflated": (cut(TIFF["Deflate, RGB, 16 bit"]), "cannot be read"),
    "cut PPM": (cut(PGM["RGB, 8 bit"]), "cannot be read"),
}


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """Those of all images of `source`, where none is bad."""
    folder = tmp_path_factory.mktemp("whole")
    return own_images(folder / "data").build(folder / "cohort").images


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_a_bad_image_is_named_or_skipped(source, frames, tmp_path, kind):
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    spoil, message = BAD_IMAGES[kind]
    spoil(source.root / "img/005.png")
    with pytest.raises(CohortError, match=rf"manifest\.csv, row 7: image 'img/005.png' {message}"):
        source.build(tmp_path / "cohort")
    assert_nothing_left(tmp_path / "cohort")
    cohort = source.build(tmp_path / "cohort", "skip")
    (skipped,) = cohort.info["skipped"]
    assert (skipped["file"], skipped["row"]) == ("img/005.png", 7)
    assert str(tmp_path) not in str(skipped)  # goes into cohort.json, which travels
    assert "img/005.png" not in set(cohort.table["source_path"])
    np.testing.assert_array_equal(cohort.images, np.delete(frames, 5, axis=0))


def test_skipping_all_of_a_class_is_an_error(source: Source, tmp_path: Path) -> None:
    for row in source.rows:
        if row["label"] == "ill":
            (source.root / row["path"]).unlink()
    with pytest.raises(CohortError, match="one class only"):
        source.build(tmp_path / "cohort", "skip")
    assert_nothing_left(tmp_path / "cohort")


# Bad rows

LISTED = {"scanners": ("A", "B"), "classes": ("healthy", "ill")}
IDS, SPLIT = {"columns": {"image_id": "id"}}, {"columns": {"split": "split"}}
VIEW, AGE = {"columns": {"view": "view"}}, {"columns": {"age": "age"}}
ROUNDED, LONG = "8.39860488694292E+35", "x" * 5000
EVERY, SOME, REST = range(24), range(5, 24, 12), range(8, 24)
# Values of a column in some rows, options, and what is said; {} is the data root.
BAD_ROWS: list[tuple[str, dict[int, str], dict[str, Any], str]] = [
    ("path", {5: "img/001.png"}, {}, "row 7: image_id 'img/001.png' is a duplicate of row 3"),
    ("path", {5: "./img/001.png"}, {}, "row 7: image_id 'img/001.png' is a duplicate of row 3"),
    ("path", {5: "img//001.png"}, {}, "row 7: image_id 'img/001.png' is a duplicate of row 3"),
    ("path", {5: "img\\001.png"}, {}, "row 7: image_id 'img/001.png' is a duplicate of row 3"),
    ("path", {5: "{}/img/001.png"}, {}, "row 7: image_id 'img/001.png' is a duplicate of row 3"),
    ("path", {5: "./img/001.png"}, IDS, "row 7: source_path 'img/001.png' is a duplicate of row 3"),
    ("path", {5: "../elsewhere.png"}, {}, "row 7: path '../elsewhere.png' leaves the data root"),
    ("path", {5: "/elsewhere.png"}, {}, "row 7: path '/.*' leaves the data root"),
    ("path", {5: "img/link.png"}, {}, "row 7: path 'img/link.png' leaves the data root"),
    ("path", {5: "a\0b.png"}, {}, "row 7: path 'a.*b.png' leaves the data root"),
    ("path", {5: LONG}, {}, r"xxx'\.\.\. is longer than"),
    ("patient_id", {5: ""}, {}, "row 7: patient_id is empty"),
    ("patient_id", {4: ROUNDED, 5: ROUNDED}, {}, r"row 6: patient '8\.398\S+' was rounded"),
    ("patient_id", {5: LONG}, {}, r"xxx'\.\.\. is longer than"),
    ("patient_id", {5: "A\0B"}, {}, "row 7: .* holds a control char"),
    ("patient_id", {3: "123", 8: "123.0"}, {}, "row 10: patient '123.0' is written '123' in row 5"),
    ("patient_id", {9: "p2"}, SPLIT, "row 11: patient 'p2' is in split 'val' and, in row 4"),
    ("scanner", {5: "Z"}, LISTED, "row 7: unknown scanner 'Z', expected one of"),
    ("scanner", {4: "a "}, {}, "row 6: scanner 'a' is written 'A' in row 2"),
    ("scanner", {0: "1", 5: "01"}, {}, "row 7: scanner '01' is written '1' in row 2"),
    ("scanner", {5: "2", 9: "2.0"}, {"held_out_scanners": ("2",)}, "row 11: unknown scanner '2.0'"),
    ("scanner", {5: LONG, 17: LONG}, {}, r"xxx'\.\.\. is longer than"),
    ("scanner", {5: "A\0B", 17: "A\0B"}, {}, r"row 7: .* holds a control|scanner 'A.*B' holds"),
    ("scanner", {}, {"held_out_scanners": ("B",)}, r"one scanner only, \['A'\]"),
    ("scanner", {0: "C"}, SPLIT | {"held_out_scanners": ("C",)}, "row 2: scanner 'C' is held out"),
    ("scanner", {23: "C"}, SPLIT, r"scanner \['C'\] has no image in the training split"),
    ("label", {5: "maybe"}, LISTED, "row 7: unknown label 'maybe', expected one of"),
    ("label", {4: "HEALTHY "}, {}, "row 6: label 'HEALTHY' is written 'healthy' in row 2"),
    *(
        ("scanner", dict.fromkeys(SOME, name), {}, f"no scanner may be called '{name}'")
        for name in (POOLED, ALL)
    ),
    ("label", dict.fromkeys(SOME, UNLABELLED), {}, f"no class may be called '{UNLABELLED}'"),
    ("label", {0: "0", 8: "0.0"}, {}, r"row 10: label '0\.0' is written '0' in row 2"),
    ("label", dict.fromkeys(EVERY, "ill"), {}, r"one class only, \['ill'\]"),
    ("label", {0: "NA"}, {}, r"row 2: unknown label '' .*such as 'NA'.*\['healthy', 'ill'\]"),
    ("label", dict.fromkeys(SOME, LONG), {}, r"xxx'\.\.\. is longer than"),
    *(
        ("label", dict.fromkeys(SOME, f"A{character}B"), {}, "holds a control|no CSV")
        for character in "\0\n\r\x1b\x85\u2028\u202e"
    ),
    ("split", {0: "valid"}, SPLIT, "row 2: unknown split 'valid'"),
    ("split", dict.fromkeys(REST, "val"), SPLIT, r"'test' has no image of \['healthy', 'ill'\]"),
    ("split", dict.fromkeys(REST, "test"), SPLIT, r"'val' has no .* scanners \['A', 'B'\]"),
    ("label", dict.fromkeys(REST, "ill"), SPLIT, r"'val' has no image of \['healthy'\]"),
    ("age", {0: "old"}, AGE, "row 2: age 'old' is no number"),
    ("age", {0: "old"}, {"columns": {"sex": "age"}}, "row 2: unknown age 'old'"),
    ("id", {3: ""}, IDS, "row 5: id is empty"),
    ("id", {5: "A\0B"}, IDS, "row 7: .* holds a control char"),
    ("view", {5: "A\0B"}, VIEW, "row 7: .* holds a control char"),
]


@pytest.mark.parametrize(("column", "values", "options", "message"), BAD_ROWS)
def test_rows_that_make_no_cohort_are_named(source, tmp_path, column, values, options, message):
    """Also where bad images are skipped."""
    os.rename(source.root / "img/005.png", tmp_path / "outside.png")
    (source.root / "img/link.png").symlink_to(tmp_path / "outside.png")
    for i, row in enumerate(source.rows):
        row |= {"split": ("train", "val", "test")[i // 8], "age": str(20 + i), "id": f"i{i}"}
        row["view"] = "PA"
    for i, value in values.items():
        source.rows[i][column] = value.replace("{}", str(source.root))
    with pytest.raises(CohortError, match=message) as said:
        source.build(tmp_path / "cohort", "skip", **options)
    assert len(str(said.value)) < 500
    assert_nothing_left(tmp_path / "cohort")


def test_missing_manifest_and_root(source: Source, tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"manifest.csv is missing"):
        build(FolderOptions(), source.root, tmp_path / "cohort")
    for root in (None, tmp_path / "absent"):
        with pytest.raises(CohortError, match="is no folder"):
            build(FolderOptions(), root, tmp_path / "cohort")
