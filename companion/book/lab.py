"""Notebooks to work in: copies of the stored ones in `lab/`, which git and the digests overlook."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from jupyter_core.paths import jupyter_config_dir

from companion import ROOT
from companion.book import lectures
from companion.book.notebooks import Parameter, in_effect
from companion.experiments import plan

FIRST = "explorer"
# It asks nobody for news or newer versions, and no reader whether it may.
QUIET = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}


# Jupyter starts a kernel in the folder of its notebook; steps look for runs/ in the repository.
START = """# Where runs/ lies.
import os

from companion import ROOT

os.chdir(ROOT)"""


def copies(profile: str, cohort: str, data_root: str | None, root: Path = ROOT) -> Path:
    """The folder with a copy of every notebook, whose parameters are those of an experiment.

    The lectures, which have none, are among them.

    Copies that are there stay as they were left.
    """
    folder = root / "lab" / profile / cohort
    folder.mkdir(parents=True, exist_ok=True)
    asked: dict[str, Parameter] = {"profile": profile, "cohort": cohort}
    asked |= {"data_root": data_root or "", "live": True}
    names = (*plan.NOTEBOOKS, *plan.LECTURES)
    stored = [root / "notebooks" / f"{name}.ipynb" for name in names]
    for notebook in (*stored, *lectures.sources(root / "lectures")):
        if not (folder / notebook.name).exists():
            _copy(notebook, folder / notebook.name, asked)
    return folder


def _copy(notebook: Path, copy: Path, asked: dict[str, Parameter]) -> None:
    content = nbformat.read(notebook, as_version=4)
    for cell in content.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = in_effect(cell.source, asked)
    content.cells.insert(0, nbformat.v4.new_code_cell(START, id="start"))
    nbformat.write(content, copy)


def jupyterlab(folder: Path, options: Sequence[str] = (), root: Path = ROOT) -> None:
    """Becomes JupyterLab, on the explorer of a folder of copies."""
    settings = Path(jupyter_config_dir()) / "labconfig" / "page_config.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps(QUIET), encoding="utf-8")
    notebook = str(folder / f"{FIRST}.ipynb")
    command = ["-m", "jupyterlab", notebook, f"--ServerApp.root_dir={root}", *options]
    os.execv(sys.executable, [sys.executable, *command])
