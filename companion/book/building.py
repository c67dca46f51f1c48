"""The book: collects what was computed, builds the HTML, and checks that no page is missing."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from companion import ROOT
from companion.book import drawings, opening, report
from companion.book.finishing import finish
from companion.engine import forkserver
from companion.engine.clean_environment import clean
from companion.engine.storage import read_json
from companion.experiments import plan
from companion.experiments.config import Experiment

EXECUTED = Path("book/executed")
BUILD = Path("_build")


def collect(main: Experiment, beside: Sequence[Experiment] = (), root: Path = ROOT) -> None:
    """Brings executed notebooks and the pages made from runs to the book.

    The main experiment's pages go to `book/executed/`, those of every other to a folder of its
    cohort's name in there.
    """
    made = {file.name: read_json(file) for file in report.executed_notebooks(main)}
    for experiment in beside:
        cohort = experiment.cohort_name
        for file in report.executed_notebooks(experiment):
            made[f"{cohort}/{file.name}"] = moved(read_json(file), cohort)
    pages = {name: json.dumps(with_footer(name, page), indent=1) for name, page in made.items()}
    experiments = (main, *beside)
    verdicts = {e.cohort_name: report.verdicts_on(e) for e in experiments if e.pretraining.encoders}
    pages |= report.pages(experiments, verdicts)
    pages |= drawings.pages(main, verdicts[main.cohort_name])
    replace_pages(root / EXECUTED, pages)


def replace_pages(folder: Path, pages: Mapping[str, str]) -> None:
    """Fills a folder with pages, by their names in it; no other file and no empty folder stays."""
    for name, content in pages.items():
        _write(folder / name, content)
    for path in sorted(folder.rglob("*"), reverse=True):  # what a folder holds before itself
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in pages:
            path.unlink()


def _write(file: Path, content: str) -> None:
    """Writes a file unless it is the same already: Sphinx then does not read it again."""
    if not file.is_file() or file.read_text(encoding="utf-8") != content:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")


def moved(notebook: dict[str, Any], cohort: str) -> dict[str, Any]:
    """A notebook for a folder one level down: its links to what stands above lead up once more, and
    its figures' names differ.
    """
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            source = "".join(cell["source"])
            source = source.replace("](../", "](../../").replace("`fig-", f"`{cohort}-fig-")
            for lecture in plan.LECTURES:
                source = source.replace(f"]({lecture})", f"](../{lecture})")
            cell["source"] = source
        figure = cell["metadata"].get("mystnb", {}).get("figure", {})
        if "name" in figure:
            figure["name"] = f"{cohort}-{figure['name']}"
    return notebook


def with_footer(name: str, notebook: dict[str, Any]) -> dict[str, Any]:
    """A page's notebook, which says at its end how to open it.

    Args:
        name: of its file, in `book/executed/`.
        notebook: the parsed JSON.
    """
    text = opening.footer(Path(name).name, opening.fork())
    end = {"cell_type": "markdown", "id": "open", "metadata": {}, "source": text}
    return {**notebook, "cells": [*notebook["cells"], end]}


def contents(beside: Sequence[str], root: Path = ROOT) -> dict[str, Any]:
    """The table of contents, without the pages of cohorts that the book does not show.

    Args:
        beside: names of the cohorts that stand beside the main one.
        root: of the repository.
    """

    def shown(page: str) -> bool:
        folder = Path(page).parent
        return EXECUTED not in folder.parents or folder.name in beside

    whole = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    for part in whole["parts"]:
        part["chapters"] = [each for each in part["chapters"] if shown(each["file"])]
    return {**whole, "parts": [part for part in whole["parts"] if part["chapters"]]}


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
    _write(table, yaml.safe_dump(contents(beside, root), sort_keys=False))
    command = [*forkserver.COMMAND, "companion.book.pages", str(table), builder]
    done = subprocess.run(command, cwd=root, env=clean(os.environ))
    if done.returncode != 0:
        raise ValueError("the book has warnings or errors, listed above; mend the pages they name")
    finish(root / BUILD / "html")
    unfinished.unlink()


def missing(beside: Sequence[str] = (), root: Path = ROOT) -> list[Path]:
    """Pages that a book with these further cohorts must have and the built one lacks."""
    wanted = pages_of(contents(beside, root))
    pages = [BUILD / "html" / Path(page).with_suffix(".html") for page in wanted]
    return [page for page in pages if not (root / page).is_file()]


def pages_of(entries: Any) -> Iterator[str]:
    """Every `root` and `file` of a table of contents, however deep."""
    if isinstance(entries, list):
        for entry in entries:
            yield from pages_of(entry)
    elif isinstance(entries, dict):
        for key, value in entries.items():
            yield from [value] if key in ("root", "file") else pages_of(value)
