"""What every source that is read from files promises: on the command line and after an import."""

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from companion.cli import app
from companion.cohorts import doctor, fakes
from companion.cohorts.errors import CohortError
from companion.cohorts.importing.release import summary
from companion.cohorts.registry import SOURCES, build, make_plan, states_sex
from companion.cohorts.releases import embed, padchest, rsna, vindr
from tests.checkout import ROOT
from tests.cohorts.releases import (
    NIH_HEADER,
    NIH_TABLE,
    assert_nothing_left,
    files_of,
    lines,
    options,
    save,
    spoil,
)


def listing(root: Path) -> dict[str, tuple[int, int, int]]:
    """Type and rights, size and date of everything in a folder and of itself."""
    found = {path: path.lstat() for path in (root, *root.rglob("*"))}
    return {str(p): (s.st_mode, s.st_size, s.st_mtime_ns) for p, s in found.items()}


@pytest.mark.parametrize("name", SOURCES)
def test_the_doctor_says_what_an_import_makes_and_neither_writes_into_the_data_root(
    name, untouched, tmp_path
):
    root, asked = untouched(name), options(name, name="mine")
    before = listing(root)
    assert doctor.recognise(root) == name
    finding = doctor.examine(root, asked)
    assert finding.healthy, finding.text
    cohort = build(asked, root, tmp_path / "cohort")
    assert listing(root) == before
    assert cohort.name == "mine"
    assert f"Would be imported: {len(cohort):,} images" in finding.text
    for reason, n in cohort.info.get("left_out", {}).items():
        assert (f"Left out, {reason}: {n:,}." in finding.text) == (n > 0)
    if name in fakes.RELEASES:
        table = cohort.info["table_1"]
        off = table["here"]["train"] - table["paper"]["train"]
        assert f"differs from the paper by train {off:+,}" in finding.text
        for caveat in cohort.info["caveats"]:
            assert caveat in finding.text or caveat.startswith("Split '")
    stated = set(cohort.table["sex"]) - {""}
    assert stated == set(asked.sexes)
    assert states_sex(asked) == (stated == {"F", "M"})


def test_a_folder_with_a_column_of_sex_states_both(untouched) -> None:
    asked = options("folder", columns={"sex": "sex"})
    assert set(make_plan(asked, untouched("folder")).rows["sex"]) == set(asked.sexes) == {"F", "M"}


# Where frames and scanners are made alike, one source is asked for all.
REACHING = {
    "padchest": [{}, {"fit": "pad"}, {"fit": "stretch"}, {"percentiles": (20, 80)}],
    "mini-mias": [
        *({}, {"size": 16}, {"width": 12}, {"splits": {"seed": 1}}, {"held_out": ("Juno",)}),
        *({"scanner_seed": 1}, {"display_gamma": 1.0}, {"regime": "mild"}),
        {"shares": {"Fjord": 0.5, "Gale": 0.5}},
    ],
}


@pytest.mark.parametrize("name", REACHING)
def test_every_option_reaches_the_cohort(name, untouched, tmp_path):
    made = {
        build(options(name, **change), untouched(name), tmp_path / str(i)).checksum
        for i, change in enumerate(REACHING[name])
    }
    assert len(made) == len(REACHING[name])


# Columns whose values are names.
NAMES = {
    "padchest": {padchest.TABLE: ("Projection", "Pediatric", "Manufacturer_DICOM", "Labels")},
    "chexpert": {"train.csv": ("Sex", "AP/PA")},
    "rsna": {rsna.NIH_TABLES[1]: ("Patient Gender", "View Position")},
    "embed": {
        embed.IMAGES: ("ManufacturerModelName", "PatientSex", "FinalImageType", "ViewPosition"),
    },
    "vindr": {
        vindr.ANNOTATIONS: ("breast_density", "view_position"),
        vindr.METADATA: ("Manufacturer's Model Name",),
    },
    "nih": {NIH_TABLE: ("Finding Labels", "Patient Gender", "View Position")},
}


@pytest.mark.parametrize("name", NAMES)
def test_names_are_compared_without_regard_to_case_and_space(name, copied):
    root = copied(name)
    expected = make_plan(options(name), root)
    for table, columns in NAMES[name].items():
        content = lines(root / table)
        for row in content[1:]:
            for place in (content[0].index(column) for column in columns):
                row[place] = f" {row[place].swapcase()} ".replace(" ", "  ")
        save(root / table, [[header.upper() for header in content[0]], *content[1:]])
    found = make_plan(options(name), root)
    columns = ["image_id", "patient_id", "scanner", "label", "sex", "view", "split"]
    columns = [column for column in columns if column in found.rows]
    assert found.rows[columns].equals(expected.rows[columns])
    assert found.left_out == expected.left_out
    assert found.scanners == expected.scanners


# A cell of a row that is spoilt, and what is said of it.
BAD_ROWS = [
    ("chexpert", "train.csv", "Pneumonia", "2.0", "Pneumonia is '2.0', expected 1, 0, -1 or noth"),
    ("chexpert", "train.csv", "Pneumonia", "maybe", "Pneumonia 'maybe' is no number"),
    ("chexpert", "train.csv", "Sex", "W", "unknown Sex 'W'"),
    ("chexpert", "train.csv", "Age", "old", "Age 'old' is no number"),
    ("chexpert", "train.csv", "Path", "patient1/view1.jpg", "'patient1/view1.jpg' is not as publ"),
    ("embed", embed.IMAGES, "empi_anon", "", "empi_anon is empty"),
    ("embed", embed.IMAGES, "anon_dicom_path", "/x/y.dcm", "anon_dicom_path '/x/y.dcm' is not as"),
    ("embed", embed.CLINICAL, "acc_anon", "3.00001E+12", r"acc_anon '3\.00001E\+12' was rounded"),
    ("embed", embed.CLINICAL, "tissueden", "dense", "tissueden 'dense' is no number"),
    ("embed", embed.CLINICAL, "age_at_study", "old", "age_at_study 'old' is no number"),
    ("nih", NIH_TABLE, "Patient Gender", "X", "unknown Patient Gender or .* 'X'"),
    ("nih", NIH_TABLE, NIH_HEADER[9], "wide", r"OriginalImagePixelSpacing\[x 'wide' is no number"),
    ("nih", NIH_TABLE, "Finding Labels", "Efusion", r"unknown finding \['Efusion'\]"),
    ("nih", NIH_TABLE, "Image Index", "{first}", "image_id '00000000_000.png' is a duplicate"),
    ("nih", NIH_TABLE, "Patient Age", "old", "Patient Age 'old' is no number"),
    ("padchest", padchest.TABLE, "PatientID", "", "PatientID is empty"),
    ("padchest", padchest.TABLE, "PatientBirth", "long ago", "PatientBirth 'long ago' names no"),
    ("padchest", padchest.TABLE, "ImageID", "{first}", "image_id '.*' is a duplicate"),
    ("rsna", rsna.LABELS, "Target", "2", "unknown Target '2'"),
    ("rsna", rsna.NIH_TABLES[1], "Patient Gender", "X", "unknown Patient Gender or .* 'X'"),
    ("rsna", rsna.NIH_TABLES[1], "Patient Age", "old", "Patient Age 'old' is no number"),
    ("vindr", vindr.ANNOTATIONS, "breast_density", "DENSITY E", "unknown breast_density 'DENSI"),
    ("vindr", vindr.ANNOTATIONS, "study_id", "", "study_id is empty"),
    ("vindr", vindr.ANNOTATIONS, "image_id", "{first}", "image '.*' is listed twice"),
    ("vindr", vindr.ANNOTATIONS, "image_id", "nosuch", "image 'nosuch' is not in metadata.csv"),
    ("vindr", vindr.METADATA, "Manufacturer's Model Name", "X", "unknown Manufacturer's Model"),
    ("vindr", vindr.METADATA, "Series Instance UID", "", "Series Instance UID is empty"),
    ("vindr", vindr.METADATA, "Patient's Age", "old", "Patient's Age 'old' is no number"),
]


@pytest.mark.parametrize(("name", "file", "column", "value", "message"), BAD_ROWS)
def test_a_bad_row_is_named(name, file, column, value, message, copied, tmp_path):
    root, row = copied(name), 2 if name == "chexpert" else 3
    spoil(root / file, row, column, value)
    row = 4 if name == "padchest" else row  # whose reports take two lines of the file each
    with pytest.raises(CohortError, match=f"{file}, row {row}: .*{message}"):
        build(options(name), root, tmp_path / "cohort")
    assert_nothing_left(tmp_path / "cohort")


@pytest.mark.parametrize("name", ["chexpert", "padchest"])
def test_the_table_can_have_another_name(name, copied):
    root = copied(name)
    expected = make_plan(options(name), root).rows
    (root / options(name).tables[0]).rename(root / "mine.csv")
    renamed = options(name, csv="mine.csv")
    assert renamed.tables == ("mine.csv",)
    assert make_plan(renamed, root).rows.equals(expected)


# The doctor on folders that are not as they should be


def test_a_table_that_agrees_with_the_paper_says_so() -> None:
    same = {"train": 1, "val": 2, "test": 3}
    table = {"row": "X", "note": "Because.", "paper": same, "here": same}
    assert "as many images as in the paper" in summary(table)
    other = summary(table | {"here": same | {"val": 5}})
    assert "val +3." in other
    assert other.endswith("Because.")


def test_what_is_missing_or_faulty_is_named(copied) -> None:
    root = copied("rsna")
    images = sorted((root / "stage_2_train_images").glob("*.dcm"))
    for path in images[1:]:
        path.unlink()
    finding = doctor.examine(root)
    assert not finding.healthy
    assert "images, the first is stage_2_train_images/" in finding.text
    (root / "Data_Entry_2017.csv").unlink()
    text = doctor.examine(root).text
    assert "Missing: Data_Entry_2017_v2020.csv or Data_Entry_2017.csv" in text
    assert "It cannot be imported" in text
    assert "To get RSNA Pneumonia Detection Challenge: https://" in text
    root = copied("vindr")
    spoil(root / vindr.ANNOTATIONS, 4, "breast_density", "?")
    finding = doctor.examine(root)
    assert not finding.healthy
    assert "row 4: unknown breast_density '?'" in finding.text


def test_unknown_folders(tmp_path: Path, untouched) -> None:
    with pytest.raises(CohortError, match="no folder"):
        doctor.recognise(tmp_path / "nowhere")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "holiday.png")
    (tmp_path / "patients.csv").write_text("a,b\n1,2\n")
    finding = doctor.examine(tmp_path)
    assert finding.source == ""
    assert "'patients.csv' as a manifest" in finding.text
    vindr = untouched("vindr")
    above = doctor.examine(vindr.parent).text
    assert f"But {vindr} looks like VinDr-Mammo: give that." in above


def test_real_folders_are_recognised(shared_data: Path) -> None:
    folders = {"nih": "nih-chestxray14-small", "mini-mias": "mini-mias-256", "medmnist": "."}
    for name, folder in folders.items():
        finding = doctor.examine(shared_data / folder)
        assert finding.source == name
        assert finding.healthy, finding.text


def test_the_doctor_on_the_command_line(untouched) -> None:
    run, chexpert = CliRunner().invoke, str(untouched("chexpert"))
    good = run(app, ["cohort", "doctor", chexpert])
    assert good.exit_code == 0
    assert "looks like CheXpert" in good.output
    simulated = run(app, ["cohort", "doctor", chexpert, "--cohort", "phantom-chest"])
    assert simulated.exit_code == 1
    assert "is simulated" in simulated.output
    wrong = run(app, ["cohort", "doctor", chexpert + "/nothing"])
    assert wrong.exit_code == 1
    assert "is no folder" in wrong.output


# Made-up releases are the same for the same seed, and whole or not at all


@pytest.mark.parametrize("name", fakes.RELEASES)
def test_the_seed_decides(name, untouched, tmp_path):
    fakes.make(name, tmp_path / "again", 48)
    made = files_of(untouched(name))
    assert files_of(tmp_path / "again") == made
    if name == "chexpert":  # the quickest
        fakes.make(name, tmp_path / "other", 48, seed=1)
        assert files_of(tmp_path / "other") != made


def test_the_command_line_keeps_what_is_there(tmp_path: Path) -> None:
    command = ["cohort", "fake", "chexpert", "--folder", str(tmp_path), "--patients", "48"]
    assert CliRunner().invoke(app, command).exit_code == 0
    (tmp_path / "chexpert" / "train.csv").write_text("mine")
    assert CliRunner().invoke(app, command).exit_code == 0
    assert (tmp_path / "chexpert" / "train.csv").read_text() == "mine"
    unknown = CliRunner().invoke(app, ["cohort", "fake", "mars", "--folder", str(tmp_path)])
    assert unknown.exit_code == 1
    assert "no made-up release 'mars'" in unknown.output


def test_what_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too few"):
        fakes.make("vindr", tmp_path / "x", 3)
    (tmp_path / "x").mkdir()
    with pytest.raises(ValueError, match="exists"):
        fakes.make("vindr", tmp_path / "x", 48)


# Where nothing can be written


def test_a_folder_of_runs_that_make_cannot_write_is_named(tmp_path: Path) -> None:
    how = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    if how and shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and there is no setpriv to give that up")
    tmp_path.chmod(0o555)
    command = [*how, sys.executable, str(ROOT / "workflow/alone.py"), "runs/.lock", "true"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    tmp_path.chmod(0o755)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert "Permission denied" in done.stderr
    assert "runs" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_of_runs_that_ccl_cannot_write_is_named(tmp_path, monkeypatch):
    def denied(path: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "mkdir", denied)
    said = CliRunner().invoke(app, ["run", "cohort", "--profile", "tiny"])
    assert said.exit_code == 1
    assert re.fullmatch(r"Error: .*Permission denied.*runs.*\n", said.stderr)
