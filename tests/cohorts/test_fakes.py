"""Made-up releases are the same for the same seed, and whole or not at all."""

import hashlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from companion.cli import app
from companion.cohorts import fakes


def digest(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", fakes.RELEASES)
def test_the_seed_decides(name: str, tmp_path: Path) -> None:
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        fakes.make(name, tmp_path / folder, 48, seed)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "a") != digest(tmp_path / "c")


def test_the_command_line_keeps_what_is_there(tmp_path: Path) -> None:
    command = ["cohort", "fake", "chexpert", "--folder", str(tmp_path), "--patients", "48"]
    assert CliRunner().invoke(app, command).exit_code == 0
    before = digest(tmp_path / "chexpert")
    (tmp_path / "chexpert" / "train.csv").write_text("mine")
    assert CliRunner().invoke(app, command).exit_code == 0
    assert (tmp_path / "chexpert" / "train.csv").read_text() == "mine"
    assert before.keys() == digest(tmp_path / "chexpert").keys()
    unknown = CliRunner().invoke(app, ["cohort", "fake", "mars", "--folder", str(tmp_path)])
    assert unknown.exit_code == 1
    assert "no made-up release 'mars'" in unknown.output


def test_what_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no made-up release 'mars'"):
        fakes.make("mars", tmp_path / "x", 48)
    with pytest.raises(ValueError, match="too few"):
        fakes.make("vindr", tmp_path / "x", 3)
    fakes.make("vindr", tmp_path / "x", 48)
    with pytest.raises(ValueError, match="exists"):
        fakes.make("vindr", tmp_path / "x", 48)
