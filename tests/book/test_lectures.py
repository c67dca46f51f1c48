"""The lectures: every cell runs, every solution is checked, and a wrong solution fails."""

import ast
import itertools
import os
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch

from companion.book import drawings, lectures
from companion.book.figures.colours import CARD
from companion.book.notebooks import NotebookError
from companion.engine import forkserver
from companion.engine.clean_environment import clean
from tests.book.wrong_solutions import WRONG

STORED = lectures.sources()
NUMBERED = [path for path in STORED if path.stem.startswith("lecture-")]
stored = pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
numbered = pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.stem)
LEVELS = ("easy", "medium", "hard")
THEORY = ("contrastive", "causal", "pairing", "distillation", "evaluation")
ASKED = re.compile(r"^\*\*Exercise (\d\.\d)\*\* \((\w+)\)\.", re.MULTILINE)


def cells(path: Path) -> list[Any]:
    return list(nbformat.read(path, as_version=4).cells)


def tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))


def exercise(cell: Any) -> str:
    """Its number, of a solution; empty for other cells."""
    return next((t.removeprefix("exercise-") for t in tags(cell) if t.startswith("exercise-")), "")


class Notes(ast.NodeTransformer):
    """Notes the line of every assertion that is reached."""

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        note = ast.parse(f"_reached.add({node.lineno})").body[0]
        return [ast.copy_location(note, node), node]


def run(source: str, names: dict[str, Any]) -> None:
    tree = ast.fix_missing_locations(Notes().visit(ast.parse(source)))
    names["_reached"] = set()
    exec(compile(tree, "cell", "exec"), names)
    plt.close("all")


def fails(source: str, names: dict[str, Any]) -> bool:
    """Whether a solution is refused; what random numbers it drew is forgotten."""
    state = torch.get_rng_state()
    rng = names.get("rng", np.random.default_rng())
    drawn = rng.bit_generator.state
    try:
        run(source, dict(names))
    except AssertionError:
        return True
    finally:
        torch.set_rng_state(state)
        rng.bit_generator.state = drawn
    return False


@pytest.fixture(autouse=True)
def drawing() -> Iterator[None]:
    """Figures are drawn and not shown; settings that a lecture makes end with it."""
    with mpl.rc_context({"backend": "agg"}):
        yield


@stored
def test_every_cell_runs_and_wrong_solutions_fail(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lectures.ROOT)
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells(path):
        if cell.cell_type != "code":
            continue
        if exercise(cell) in WRONG:
            right, wrong = WRONG[exercise(cell)]
            assert cell.source.count(right) == 1, exercise(cell)
            assert fails(cell.source.replace(right, wrong), names), exercise(cell)
        run(cell.source, names)
        written = [n.lineno for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Assert)]
        assert names["_reached"] == set(written), cell.source


def test_every_exercise_has_a_wrong_solution_that_fails() -> None:
    assert {exercise(cell) for path in NUMBERED for cell in cells(path)} - {""} == set(WRONG)


@numbered
def test_exercises_are_solved_and_grow_harder(path: Path) -> None:
    asked, levels, solved = [], [], []
    for cell in cells(path):
        if found := ASKED.match(cell.source):
            asked.append(found[1])
            levels.append(LEVELS.index(found[2]))
            assert ":::{dropdown} Solution\n" in cell.source
        if "solution" in tags(cell):
            assert "hide-cell" in tags(cell)
            assert exercise(cell) in ("", asked[-1])
            solved += [asked[-1]] if exercise(cell) else []
    assert solved == asked
    lecture = path.stem.split("-")[1]
    assert asked == [f"{lecture}.{i + 1}" for i in range(len(asked))]
    assert len(asked) >= 4
    assert levels == sorted(levels)
    assert {min(levels), max(levels)} == {0, 2}


@stored
def test_solutions_check_something(path: Path) -> None:
    for cell in cells(path):
        if exercise(cell) or ("solution" in tags(cell) and path not in NUMBERED):
            assert re.search(r"^ *(assert |torch\.testing\.assert_close)", cell.source, re.M)


@pytest.mark.parametrize("page", THEORY)
def test_every_exercise_of_the_theory_is_answered_by_computing(page: str) -> None:
    text = (lectures.ROOT / "book" / f"{page}.md").read_text()
    asked = re.findall(r"^\*\*(\d)\.\*\*", text, re.MULTILINE)
    answers = [
        tag for cell in cells(lectures.FOLDER / "theory-answers.ipynb") for tag in tags(cell)
    ]
    assert [tag for tag in answers if tag.startswith(page)] == [f"{page}-{n}" for n in asked]
    assert "(executed/theory-answers)" in text


def test_every_bug_has_symptom_hint_and_solution() -> None:
    text = "\n".join(cell.source for cell in cells(lectures.FOLDER / "find-the-bug.ipynb"))
    bugs = [part for part in re.split(r"^## ", text, flags=re.MULTILINE) if part.startswith("Bug")]
    assert len(bugs) == 4
    for part in (text.partition("## Bug")[0], *bugs):
        for said in ("**Symptom.**", "**Hint.**", ":::{dropdown} Solution\n"):
            assert said in part


@stored
def test_is_stored_plainly(path: Path) -> None:
    nbformat.validate(nbformat.read(path, as_version=4))
    assert cells(path)[0].source.startswith("# ")
    assert "-" in path.stem  # the workflow tells lectures by it
    for before, cell in itertools.pairwise(cells(path)):
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
            assert len(cell.source.splitlines()) <= 45, "a cell that fits a screen"
        if "plt.subplots" in cell.source:
            assert cell.metadata.mystnb.image.alt
        assert before.source.strip()


def test_every_page_opens_with_a_drawing_that_the_book_makes() -> None:
    assert {path.stem for path in STORED} == set(lectures.DRAWINGS)
    assert set(lectures.DRAWINGS.values()) <= set(drawings.PARTS)


def test_executed_in_one_kernel_each_begins_anew_and_shows_its_figures(tmp_path: Path) -> None:
    """In a build, kernels are forks of a process that has imported matplotlib."""
    sources = {
        "a": "x = 1\nimport os\nos.environ['SHARED'] = 'yes'",
        "b": "import os\n'x' in globals(), os.environ.get('SHARED')",
        "drawing": "import matplotlib.pyplot as plt\nplt.plot([1, 2]);",
        "wrong": "import this_one_kernel",
    }
    for name, source in sources.items():
        code = nbformat.v4.new_code_cell(source)
        nbformat.write(nbformat.v4.new_notebook(cells=[code]), tmp_path / f"{name}.ipynb")
    (done := tmp_path / "done").mkdir()
    imported, text = 'IMPORTED = ("matplotlib.pyplot",)', Path(forkserver.__file__).read_text()
    text = re.sub(r"^IMPORTED = .*?^\)", imported, text, flags=re.M | re.S)
    (tmp_path / "forkserver.py").write_text(text)
    server = runpy.run_path(str(tmp_path / "forkserver.py"))["start"](clean(os.environ))
    try:
        with pytest.raises(
            NotebookError, match=r"(?s)wrong\.ipynb: a cell failed.*this_one_kernel"
        ):
            lectures.execute([tmp_path / f"{name}.ipynb" for name in sources], done)
    finally:
        if server is not None:  # this system forks
            server.communicate()
            del os.environ[forkserver.SOCKET]
    executed = {
        name: nbformat.read(done / f"{name}.ipynb", as_version=4) for name in ("b", "drawing")
    }
    (said,), (*_, drawn) = (each.cells[0].outputs for each in executed.values())
    assert said["data"]["text/plain"] == "(False, 'yes')"
    assert CARD.lower() in drawn["data"]["image/svg+xml"]  # in the book's look
    assert executed["b"].metadata.papermill.duration > 0
