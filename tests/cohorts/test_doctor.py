"""The doctor names every folder, what it lacks and what would be imported."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from companion.cli import app
from companion.cohorts import doctor, fakes
from companion.cohorts.errors import CohortError
from companion.cohorts.registry import build
from companion.cohorts.releases.embed import EmbedOptions
from tests.cohorts.conftest import Source
from tests.cohorts.releases import spoil


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases")
    for name in fakes.RELEASES:
        fakes.make(name, folder / name, patients=48)
    return folder


@pytest.mark.parametrize("name", fakes.RELEASES)
def test_releases_are_recognised_and_counted(name: str, releases: Path, tmp_path: Path) -> None:
    options = doctor.SOURCES[name].options().model_copy(update={"size": 8, "width": 8})
    if name == "embed":
        options = EmbedOptions(size=8, width=8, validation_patients=5)
    assert doctor.recognise(releases / name) == name
    finding = doctor.examine(releases / name, options)
    assert finding.healthy, finding.text
    cohort = build(options, releases / name, tmp_path / "cohort")  # type: ignore[arg-type]
    assert f"Would be imported: {len(cohort):,} images" in finding.text
    table = cohort.info["table_1"]
    off = table["here"]["train"] - table["paper"]["train"]
    assert f"differs from the paper by train {off:+,}" in finding.text
    for reason, n in cohort.info["left_out"].items():
        assert (f"Left out, {reason}: {n:,}." in finding.text) == (n > 0)
    for caveat in cohort.info["caveats"]:
        assert caveat in finding.text or caveat.startswith("Split '")


def test_a_table_that_agrees_with_the_paper_says_so() -> None:
    same = {"train": 1, "val": 2, "test": 3}
    table = {"row": "X", "note": "Because.", "paper": same, "here": same}
    assert "as many images as in the paper" in doctor.published_counts.summary(table)
    other = doctor.published_counts.summary(table | {"here": same | {"val": 5}})
    assert "val +3." in other
    assert other.endswith("Because.")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    root = tmp_path / "rsna"
    fakes.make("rsna", root, patients=48)
    listed = next(iter((root / "stage_2_train_images").glob("*.dcm")))
    for path in (root / "stage_2_train_images").glob("*.dcm"):
        if path != listed:
            path.unlink()
    finding = doctor.examine(root)
    assert not finding.healthy
    assert "images, the first is stage_2_train_images/" in finding.text
    (root / "Data_Entry_2017.csv").unlink()
    text = doctor.examine(root).text
    assert "Missing: Data_Entry_2017_v2020.csv or Data_Entry_2017.csv" in text
    assert "It cannot be imported" in text
    assert "To get RSNA Pneumonia Detection Challenge: https://" in text


def test_a_faulty_table_is_no_surprise(tmp_path: Path) -> None:
    fakes.make("vindr", tmp_path / "v", patients=48)
    spoil(tmp_path / "v" / "breast-level_annotations.csv", 4, "breast_density", "?")
    finding = doctor.examine(tmp_path / "v")
    assert not finding.healthy
    assert "row 4: unknown breast_density '?'" in finding.text


def test_own_images(source: Source) -> None:
    source.write_manifest()
    finding = doctor.examine(source.root)
    assert finding.source == "folder"
    assert finding.healthy
    assert "Would be imported: 24 images of 24 patients" in finding.text
    assert "Table 1" not in finding.text


def test_unknown_folders(tmp_path: Path, releases: Path) -> None:
    with pytest.raises(CohortError, match="no folder"):
        doctor.recognise(tmp_path / "nowhere")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "holiday.png")
    (tmp_path / "patients.csv").write_text("a,b\n1,2\n")
    finding = doctor.examine(tmp_path)
    assert finding.source == ""
    assert "'patients.csv' as a manifest" in finding.text
    above = doctor.examine(releases).text
    assert f"But {releases / 'vindr'} looks like VinDr-Mammo: give that." in above


def test_real_folders_are_recognised(shared_data: Path) -> None:
    for folder, name in (
        ("nih-chestxray14-small", "nih"),
        ("mini-mias-256", "mini-mias"),
        (".", "medmnist"),
    ):
        finding = doctor.examine(shared_data / folder)
        assert finding.source == name
        assert finding.healthy, finding.text


def test_the_command_line(releases: Path) -> None:
    run = CliRunner().invoke
    good = run(app, ["cohort", "doctor", str(releases / "chexpert")])
    assert good.exit_code == 0
    assert "looks like CheXpert" in good.output
    simulated = run(app, ["cohort", "doctor", str(releases), "--cohort", "phantom-chest"])
    assert simulated.exit_code == 1
    assert "is simulated" in simulated.output
    wrong = run(app, ["cohort", "doctor", str(releases / "nothing")])
    assert wrong.exit_code == 1
    assert "is no folder" in wrong.output
