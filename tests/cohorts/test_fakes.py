"""Made-up releases are the same for the same seed, and whole or not at all."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from companion.cli import app
from companion.cohorts import fakes
from tests.cohorts.releases import files_of


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
