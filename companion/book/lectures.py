"""Executes the lectures: all of `lectures/` in one kernel, so that its imports are paid for once.

They depend on no profile and on no cohort. Each begins with no names of the one before.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from companion import ROOT
from companion.book.notebooks import STARTING, NotebookError, ThisInterpreter, execute_once
from companion.engine.files import file_digest
from companion.engine.runs import Step

FOLDER = ROOT / "lectures"
RECORD = ROOT / "study" / "phantom-chest"  # which an exercise reads
# The drawing under each title, of `drawings`: pages open with a picture.
DRAWINGS = {
    "lecture-1-nt-xent": "door-lecturer",
    "lecture-2-scm": "graphs",
    "lecture-3-hvae": "hvae",
    "lecture-4-dino": "multicrop",
    "lecture-5-pairs": "method",
    "find-the-bug": "door-lecturer",
    "two-projects": "chain",
    "theory-answers": "door-researcher",
}

# Figures are shown, also where a server had imported matplotlib before there was a kernel: vectors
# in the book's look, of which pages have dark copies. And no names of the lecture before.
START = """%matplotlib inline
from matplotlib import rcParams
from companion.book.figures.look import SETTINGS
rcParams.update({**SETTINGS, "text.parse_math": True})
%config InlineBackend.figure_formats = ["svg"]
%reset -f"""

SLIDES = '<p class="ccl-start-slides"><a href="?slides">Show this page as slides</a></p>'


def sources(folder: Path = FOLDER) -> list[Path]:
    """The stored notebooks."""
    return sorted(folder.glob("*.ipynb"))


def show(root: Path) -> list[Path]:
    """Executes the lectures, unless that was done with the same cells and code.

    Args:
        root: folder of the runs that the book is built from.

    Raises:
        NotebookError: a cell failed.
    """
    stored = sources()
    step = Step(
        root=root,
        name="lectures",
        options={"read": {file.name: file_digest(file) for file in sorted(RECORD.glob("*.csv"))}},
        inputs={},
        modules=(__name__, "companion.book.figures.look"),
    )
    return execute_once(step, stored, lambda folder: execute(stored, folder))


def execute(notebooks: Sequence[Path], folder: Path) -> None:
    """Executes notebooks without parameters into a folder, in the order given.

    Raises:
        NotebookError: a cell failed, or the kernel died; names both.
    """
    asyncio.run(_execute(notebooks, folder))


async def _execute(notebooks: Sequence[Path], folder: Path) -> None:
    kernel, none = ThisInterpreter(), nbformat.v4.new_notebook()
    client = NotebookClient(none, km=kernel, timeout=None, startup_timeout=STARTING)
    try:
        for notebook in notebooks:
            nbformat.write(await _executed(notebook, client), folder / notebook.name)
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
        if kernel.has_kernel:
            await kernel.shutdown_kernel(now=True)


async def _executed(notebook: Path, client: NotebookClient) -> nbformat.NotebookNode:
    content, start = nbformat.read(notebook, as_version=4), time.perf_counter()
    content.cells.insert(0, nbformat.v4.new_code_cell(START))
    client.nb = content
    try:
        await client.async_execute(cwd=str(ROOT))
    except (CellExecutionError, DeadKernelError) as error:
        raise NotebookError(f"{notebook}: a cell failed or ended its kernel.\n{error}") from error
    content.cells.pop(0)
    if notebook.stem in DRAWINGS:
        title, _, words = content.cells[0].source.partition("\n")
        drawing = f"```{{include}} {DRAWINGS[notebook.stem]}.md\n```\n"
        content.cells[0].source = f"{title}\n\n{drawing}{words}\n\n{SLIDES}"
    content.metadata.papermill = {  # as the page of the status reads it
        "duration": time.perf_counter() - start,
        "end_time": datetime.now(UTC).isoformat(),
    }
    return content
