"""The book: collects what was computed, builds the HTML, and checks that no page is missing."""

import json
import logging
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from companion import ROOT
from companion.book import illustrations, landing, opening, report
from companion.book.dark import add_dark_figures
from companion.book.light import lighten
from companion.book.verdicts import verdicts_on
from companion.engine import forkserver
from companion.engine.clean_environment import clean
from companion.engine.storage import read_json
from companion.experiments import plan

if TYPE_CHECKING:
    from companion.experiments.config import Experiment

EXECUTED = Path("book/executed")
BUILD = Path("_build")

log = logging.getLogger(__name__)


def collect(main: "Experiment", beside: Sequence["Experiment"] = (), root: Path = ROOT) -> None:
    """Brings executed notebooks and the pages made from runs to the book.

    The main experiment's pages go to `book/executed/`, those of every other to a folder of its
    cohort's name in there. Files that are the same already stay untouched, so that Sphinx does not
    read them again.
    """
    made = {path.name: path.read_text(encoding="utf-8") for path in report.executed_notebooks(main)}
    for experiment in beside:
        made |= {
            f"{experiment.cohort_name}/{path.name}": moved(path, experiment.cohort_name)
            for path in report.executed_notebooks(experiment)
        }
    made = {name: with_footer(name, written) for name, written in made.items()}
    experiments = (main, *beside)
    verdicts = {e.cohort_name: verdicts_on(e) for e in experiments if e.pretraining.encoders}
    made |= report.pages(experiments, verdicts) | illustrations.pages(main)
    made |= landing.pages(main, verdicts[main.cohort_name])
    folder = root / EXECUTED
    for old in [path for path in folder.rglob("*") if path.is_file()]:
        if old.relative_to(folder).as_posix() not in made:
            old.unlink()
    for name, content in made.items():
        file = folder / name
        if not file.is_file() or file.read_text(encoding="utf-8") != content:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")


def moved(path: Path, cohort: str) -> str:
    """A notebook for a folder one level down: its links to what stands above lead up once more, and
    its figures' names differ.
    """
    notebook = read_json(path)
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            source = source.replace("](../", "](../../").replace("`fig-", f"`{cohort}-fig-")
            for lecture in plan.LECTURES:
                source = source.replace(f"]({lecture})", f"](../{lecture})")
            cell["source"] = source
        figure = cell["metadata"].get("mystnb", {}).get("figure", {})
        if "name" in figure:
            figure["name"] = f"{cohort}-{figure['name']}"
    return json.dumps(notebook, indent=1)


def with_footer(name: str, written: str) -> str:
    """A page's notebook, which says at its end how to open it.

    Args:
        name: of its file, in `book/executed/`.
        written: the notebook, as JSON.
    """
    notebook = json.loads(written)
    text = opening.footer(Path(name).name, opening.fork())
    end = {"cell_type": "markdown", "id": "open", "metadata": {}, "source": text}
    return json.dumps({**notebook, "cells": [*notebook["cells"], end]}, indent=1)


def contents(beside: Sequence[str], root: Path = ROOT) -> dict[str, Any]:
    """The table of contents, without the pages of cohorts that the book does not show.

    Args:
        beside: names of the cohorts that stand beside the main one.
        root: of the repository.

    Raises:
        FileNotFoundError: there is no `_toc.yml`.
    """
    whole = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    parts = []
    for part in whole["parts"]:
        kept = [chapter for chapter in part["chapters"] if _shown(chapter["file"], beside)]
        parts += [{**part, "chapters": kept}] if kept else []
    return {**whole, "parts": parts}


def _shown(page: str, beside: Sequence[str]) -> bool:
    """Whether a page belongs to the book: all but those of cohorts that it does not show."""
    folder = Path(page).parent
    return EXECUTED not in folder.parents or folder.name in beside


def build(beside: Sequence[str] = (), root: Path = ROOT, builder: str = "html") -> None:
    """Builds the HTML; any warning is an error.

    Args:
        beside: names of the cohorts that stand beside the main one.
        root: of the repository.
        builder: Jupyter Book's, also the name of the folder in `_build/`.

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
    table = root / BUILD / "_toc.yml"
    text = yaml.safe_dump(contents(beside, root), sort_keys=False)
    if not table.is_file() or table.read_text(encoding="utf-8") != text:
        table.write_text(text, encoding="utf-8")
    command = [*forkserver.COMMAND, "companion.book.pages", str(table), builder]
    done = subprocess.run(command, cwd=root, env=clean(os.environ))
    if done.returncode != 0:
        raise ValueError("the book has warnings or errors, listed above; mend the pages they name")
    lighten(root / BUILD / "html")
    add_dark_figures(root / BUILD / "html")
    unfinished.unlink()


def missing(beside: Sequence[str] = (), root: Path = ROOT) -> list[Path]:
    """Pages that a book with these further cohorts must have and the built one lacks."""
    wanted = _pages(contents(beside, root))
    pages = [BUILD / "html" / Path(page).with_suffix(".html") for page in wanted]
    return [page for page in pages if not (root / page).is_file()]


def _pages(entries: Any) -> Iterator[str]:
    """Every `root` and `file` of a table of contents, however deep."""
    if isinstance(entries, list):
        for entry in entries:
            yield from _pages(entry)
    elif isinstance(entries, dict):
        for key, value in entries.items():
            if key in ("root", "file"):
                yield value
            else:
                yield from _pages(value)
