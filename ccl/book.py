"""The book: collects what was computed, builds the HTML, and checks that no page is missing."""

import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ccl import report

if TYPE_CHECKING:
    from ccl.config import Experiment

ROOT = Path(__file__).parent.parent
EXECUTED = Path("book/executed")
BUILD = Path("_build")

log = logging.getLogger(__name__)


def collect(experiment: "Experiment", root: Path = ROOT) -> None:
    """Brings an experiment's executed notebooks and the pages made from its runs to the book.

    Files that are the same already stay untouched, so that Sphinx does not read them again.
    """
    notebooks = sorted((experiment.root / "notebooks").glob("*.ipynb"))
    made = {path.name: path.read_bytes() for path in notebooks}
    made |= {name: text.encode() for name, text in report.pages(experiment).items()}
    folder = root / EXECUTED
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.name not in made:
            old.unlink()
    for name, content in made.items():
        file = folder / name
        if not file.is_file() or file.read_bytes() != content:
            file.write_bytes(content)


def build(root: Path = ROOT) -> None:
    """Builds the HTML; any warning is an error.

    Sphinx warns only about pages that it reads anew. What a failed or killed build left behind
    would therefore hide its warnings from the next one, and is removed.

    Raises:
        ValueError: Jupyter Book warned or failed; its messages were shown.
    """
    unfinished = root / BUILD / "unfinished"
    if unfinished.exists():
        shutil.rmtree(root / BUILD)
    unfinished.parent.mkdir(exist_ok=True)
    unfinished.touch()
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    options = ["build", ".", "-n", "-W", "--keep-going", "-q"]
    if subprocess.run([*command, *options], cwd=root).returncode != 0:
        raise ValueError("the book has warnings or errors, listed above; mend the pages they name")
    unfinished.unlink()


def missing(root: Path = ROOT) -> list[Path]:
    """Pages that the table of contents names and the built book lacks.

    Raises:
        FileNotFoundError: there is no `_toc.yml`.
    """
    contents = yaml.safe_load((root / "_toc.yml").read_text())
    pages = [BUILD / "html" / Path(page).with_suffix(".html") for page in _pages(contents)]
    return [page for page in pages if not (root / page).is_file()]


def _pages(contents: Any) -> Iterator[str]:
    """Every `root` and `file` of a table of contents, however deep."""
    if isinstance(contents, list):
        for entry in contents:
            yield from _pages(entry)
    elif isinstance(contents, dict):
        for key, value in contents.items():
            if key in ("root", "file"):
                yield value
            else:
                yield from _pages(value)
