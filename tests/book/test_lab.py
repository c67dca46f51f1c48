"""`make lab`: copies of the notebooks to work in, and JupyterLab on the explorer's."""

import json
import os
import sys
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from companion import cli
from companion.book import lab

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("notebooks", "lectures"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def parameters(notebook: Path) -> str:
    cells = nbformat.read(notebook, as_version=4).cells
    return next(c.source for c in cells if "parameters" in c.metadata.get("tags", []))


def test_copies_have_the_parameters_that_were_asked_for_and_start_in_the_repository(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lab.copies("tiny", "nih", "/my data", root)
    assert folder == root / "lab" / "tiny" / "nih"
    stored = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    lectures = {path.name for path in (ROOT / "lectures").glob("*.ipynb")}
    assert {path.name for path in folder.iterdir()} == stored | lectures
    for name in stored:
        text = parameters(folder / name)
        if name != "record.ipynb":
            assert "'tiny'" in text
            assert "'nih'" in text
            assert "'/my data'" in text
    first = nbformat.read(folder / "explorer.ipynb", as_version=4).cells[0]
    monkeypatch.chdir(folder)
    exec(first.source)
    assert Path.cwd() == ROOT
    assert "live: bool = True" in parameters(folder / "explorer.ipynb")
    assert "live: bool = False" in parameters(ROOT / "notebooks/explorer.ipynb")


def test_a_copy_that_was_worked_in_stays(root: Path) -> None:
    folder = lab.copies("tiny", "phantom-chest", None, root)
    (folder / "explorer.ipynb").write_text("mine")
    (folder / "cohort.ipynb").unlink()
    lab.copies("tiny", "phantom-chest", None, root)
    assert (folder / "explorer.ipynb").read_text() == "mine"
    assert (folder / "cohort.ipynb").is_file()


@pytest.mark.parametrize("show", [True, False])
def test_jupyterlab_is_started_on_the_explorer(
    show: bool, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, command: started.append(command))
    monkeypatch.setattr(lab, "copies", lambda *_: root)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(root))
    asked = ["lab", "--data-root", "", "--options", "--no-browser --port 8890"]
    answer = CliRunner().invoke(cli.app, [*asked, "--open" if show else "--no-open"])
    assert answer.exit_code == 0, answer.output
    if not show:
        assert started == []
        return
    (command,) = started
    assert command[:4] == [sys.executable, "-m", "jupyterlab", str(root / "explorer.ipynb")]
    assert command[-3:] == ["--no-browser", "--port", "8890"]
    settings = json.loads((root / "labconfig" / "page_config.json").read_text())
    assert "@jupyterlab/apputils-extension:announcements" in settings["disabledExtensions"]
