"""Buttons for Binder and Colab are there where a fork is named, and lead to what is in it."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from companion.book import building, opening

ROOT = Path(__file__).parents[2]
FORK = opening.Fork("somebody/ccl", "main")


@pytest.mark.parametrize(
    ("url", "name"),
    [("https://github.com/somebody/ccl", "somebody/ccl"), ("https://github.com/a/b.git/", "a/b")],
)
def test_a_fork_is_named_by_the_configuration_or_the_environment(
    url: str, name: str, tmp_path: Path
) -> None:
    config = {"repository": {"url": url, "branch": "main"}}
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(config))
    assert opening.fork(tmp_path, {}) == opening.Fork(name, "main")
    asked = {"CCL_REPOSITORY": url, "CCL_BRANCH": "try/this"}
    assert opening.fork(ROOT, asked) == opening.Fork(name, "try/this")


@pytest.mark.parametrize(
    ("url", "branch"),
    [
        ("https://elsewhere.org/a/b", "main"),
        ("https://github.com/a", "main"),
        ("https://github.com/a/b)<script>", "main"),
        ("https://github.com/a/b", "x](y"),
    ],
)
def test_other_addresses_are_refused(url: str, branch: str) -> None:
    with pytest.raises(ValueError, match="CCL_REPOSITORY"):
        opening.fork(ROOT, {"CCL_REPOSITORY": url, "CCL_BRANCH": branch})


def last_of_a_page(name: str) -> str:
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A page")])
    notebook = nbformat.from_dict(building.with_footer(name, page))
    nbformat.validate(notebook)
    first, last = notebook.cells
    assert first.source == "# A page"
    return last.source


@pytest.mark.parametrize("name", ["explorer.ipynb", "nih/explorer.ipynb"])
def test_a_page_ends_with_its_notebook_and_without_buttons(name: str) -> None:
    end = last_of_a_page(name)
    assert "{download}`download <explorer.ipynb>`" in end
    assert "make lab" in end
    assert "https:" not in end


def test_a_page_of_a_fork_has_buttons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCL_REPOSITORY", "https://github.com/somebody/ccl")
    end = last_of_a_page("explorer.ipynb")
    assert opening.binder("explorer", FORK) in end
    assert opening.colab(FORK) in end


def test_binder_has_the_pins_and_the_copies_that_its_button_opens() -> None:
    binder = ROOT / ".binder"
    environment = yaml.safe_load((binder / "environment.yml").read_text())
    here = yaml.safe_load((ROOT / "environment.yml").read_text())
    *plain, pip = environment["dependencies"]
    assert plain == here["dependencies"][:-1]
    assert [(binder / line.split()[1]).resolve() for line in pip["pip"]] == [
        ROOT / "requirements.txt"
    ]
    after = binder / "postBuild"
    assert after.stat().st_mode & 0o111
    assert "companion lab --no-open" in after.read_text()
    opened = opening.binder("explorer", FORK).partition("urlpath=lab/tree/")[2]
    assert opened == "lab/quick/phantom-chest/explorer.ipynb"


def test_colab_s_notebook_is_there_and_sets_itself_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but its last cell, which shows the explorer, with pretended programs."""
    assert opening.colab(FORK).endswith(f"/somebody/ccl/blob/main/{opening.COLAB}")
    notebook = nbformat.read(ROOT / opening.COLAB, as_version=4)
    *setup, shown = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    called: list[list[str]] = []

    def pretend(command: list[str], **_: object) -> None:
        called.append(command)
        (tmp_path / "ccl").mkdir(exist_ok=True)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", pretend)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr("builtins.input", lambda _: "https://github.com/somebody/ccl")
    names: dict[str, object] = {}
    for code in setup:
        exec(code, names)
    assert names["repository"] == ""  # of no fork, as here
    clone, install = called
    assert clone[:2] == ["git", "clone"]
    assert "https://github.com/somebody/ccl" in clone
    assert install[-1] == ".[companion]"
    assert Path.cwd() == tmp_path / "ccl"
    assert "explorer.explorer_page" in shown
