"""The stored notebooks, and the wrapper that executes them."""

import ast
import itertools
import json
import re
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec
from matplotlib.figure import Figure

from companion.book import notebooks
from companion.book.notebooks import NotebookError
from companion.experiments import plan
from tests import pages
from tests.changed import changed

ROOT = Path(__file__).parent.parent
STORED = sorted((ROOT / "notebooks").glob("*.ipynb"))
stored = pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)


def write(path: Path, *code: str, parameters: str = 'profile: str = "quick"') -> Path:
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    cells = [first, *(nbformat.v4.new_code_cell(source) for source in code)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_the_promised_notebooks_are_there() -> None:
    promised = {"cohort", "generator", "explorer", "pretraining", "probing"}
    promised |= {"projections", "subgroups", "objective", "ablation", "record"}
    assert promised <= {path.stem for path in STORED} == {*plan.NOTEBOOKS, *plan.LECTURES}


@stored
def test_is_stored_without_outputs_or_places_on_a_machine(path: Path) -> None:
    content = nbformat.read(path, as_version=4)
    nbformat.validate(content)
    for cell in content.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
    assert "papermill" not in content.metadata
    assert not re.search(r"[\"'\s(]/(home|root|tmp|work|Users|mnt|data)\b", path.read_text())


@stored
def test_links_to_pages_there_are(path: Path) -> None:
    """Executed, they lie in a folder of their own below the other pages of the book."""
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    pages_there = {page.stem for page in STORED}
    pages_there |= {f"../{page.stem}" for page in (ROOT / "book").glob("*.md")}
    linked = set(re.findall(r"\]\(([^)#:]+)[^):]*\)", text))
    assert linked <= pages_there


@stored
def test_imports_what_there_is(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    code = ast.parse("\n".join(cell.source for cell in cells if cell.cell_type == "code"))
    imported = [node for node in ast.walk(code) if isinstance(node, ast.ImportFrom)]
    assert imported
    for node in imported:
        for alias in node.names:
            exec(f"from {node.module} import {alias.name}", {})


@stored
def test_has_the_parameters_of_an_experiment_and_says_what_they_are(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    (source,) = [c.source for c in cells if "parameters" in c.metadata.get("tags", [])]
    assert all(re.search(r"  # \w", line) for line in source.splitlines())
    values = {}
    for line in ast.parse(source).body:  # name: type = literal
        assert isinstance(line, ast.AnnAssign)
        values[ast.unparse(line.target)] = ast.literal_eval(line.value)
        assert type(values[ast.unparse(line.target)]).__name__ == ast.unparse(line.annotation)
    assert {"profile", "cohort", "data_root"} <= values.keys()
    assert isinstance(values["data_root"], str)


@stored
def test_words_come_before_code_and_hold_no_results(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].source.startswith("# ")
    for cell in cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"^:width: .*$", "", cell.source, flags=re.MULTILINE)
            assert not re.search(r"\d+\.\d+|\d ?%", prose), prose
    for before, cell in itertools.pairwise(cells):
        hidden = {"parameters", "hide-input"} & set(cell.metadata.get("tags", []))
        if cell.cell_type == "code" and not hidden:
            assert before.cell_type == "markdown", cell.source


@stored
def test_every_figure_has_caption_name_and_alternative_text(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and re.search(r"^figures\.", cell.source, re.MULTILINE):
            mystnb = cell.metadata.mystnb
            assert mystnb.figure.caption
            assert mystnb.figure.name.startswith("fig-")
            assert mystnb.image.alt


def test_a_page_names_the_weights_that_encoders_start_from(tmp_path, monkeypatch):
    made = changed(pages.only("simclr"), pretraining__simclr__encoder__pretrained="imagenet")
    table = pages._results(["simclr"]).replace({"strategy": {"random": "initial"}})
    monkeypatch.setattr(pages, "_results", lambda _: table)
    shown = pages.values("probing", pages.small_cohort(), made, tmp_path, monkeypatch)
    figure = next(value for value in shown if isinstance(value, Figure))
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert "ImageNet weights" in labels
    assert "Random encoder" not in labels


@pytest.mark.parametrize("objective", ["simclr", "dino"])
@pytest.mark.parametrize("name", ["pretraining", "probing"])
def test_pages_show_experiments_with_one_objective(name, objective, tmp_path, monkeypatch):
    shown = pages.values(name, pages.small_cohort(), pages.only(objective), tmp_path, monkeypatch)
    drawn = [value for value in shown if isinstance(value, Figure)]
    said = [text.get_text() for figure in drawn for text in figure.texts]
    absent = {"simclr": "DINO", "dino": "SimCLR"}[objective]
    assert any(figure.axes for figure in drawn)
    assert any(f"trains no {absent}" in text for text in said)


def test_executes_with_this_interpreter_and_shows_the_parameters_in_effect(tmp_path: Path) -> None:
    parameters = 'profile: str = "quick"  # which\nshare: float = 0.5  # of all'
    code = "import sys\nprint(sys.executable, profile)"
    source = write(tmp_path / "a.ipynb", code, parameters=parameters)
    notebooks.execute(source, tmp_path / "done.ipynb", {"profile": "tiny"}, tmp_path)
    done = nbformat.read(tmp_path / "done.ipynb", as_version=4)
    shown, injected, last = done.cells
    assert shown.source == "profile: str = 'tiny'  # which\nshare: float = 0.5  # of all"
    assert "remove-cell" in injected.metadata.tags
    assert last.outputs[0].text.split() == [sys.executable, "tiny"]
    assert str(tmp_path) not in json.dumps(done.metadata)


def test_a_kernel_that_does_not_start_is_named(tmp_path, monkeypatch):
    argv = [sys.executable, "-c", "raise SystemExit('no ipykernel')"]
    broken = KernelSpec(argv=argv, display_name="Python 3", language="python")
    monkeypatch.setattr(notebooks.ThisInterpreter, "kernel_spec", broken)
    source, output = write(tmp_path / "a.ipynb", "x = 1"), tmp_path / "out.ipynb"
    with pytest.raises(NotebookError, match=r"a\.ipynb: its kernel did not start \(Kernel died"):
        notebooks.execute(source, output, {})
    assert not output.exists()


def test_a_kernel_that_dies_is_named_and_mended(tmp_path: Path) -> None:
    die = "import os\nos.kill(os.getpid(), 9)"
    source = write(tmp_path / "a.ipynb", "x = 1", die, "y = 1")
    with pytest.raises(NotebookError, match=r"a\.ipynb: its kernel died in cell 3 \(`import os`\)"):
        notebooks.execute(source, tmp_path / "done.ipynb", {}, tmp_path)
    assert not (tmp_path / "done.ipynb").exists()
    write(source, "x = 1", "y = 1")
    notebooks.execute(source, tmp_path / "done.ipynb", {}, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ipynb", "done.ipynb"]


def test_a_failing_cell_is_named_and_nothing_is_left_as_done(tmp_path: Path) -> None:
    source = write(tmp_path / "a.ipynb", "x = 1", "raise ValueError('too few images')")
    with pytest.raises(NotebookError, match=r"raise ValueError.*ValueError: too few images"):
        notebooks.execute(source, tmp_path / "done.ipynb", {}, tmp_path)
    assert not (tmp_path / "done.ipynb").exists()
