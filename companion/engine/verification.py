"""Whether finished results are still what was written: checksums are computed once more."""

from collections.abc import Iterator
from pathlib import Path

from companion.engine.errors import DamagedFileError
from companion.engine.files import file_digest
from companion.engine.runs import Run
from companion.engine.storage import RECORD


def finished_steps(root: Path) -> list[Path]:
    """Folders of all finished steps of one profile and cohort.

    Args:
        root: folder of their runs.

    Raises:
        FileNotFoundError: none is finished.
    """
    folders = [record.parent for record in sorted(root.glob(f"*/*/{RECORD}"))]
    whole = [folder for folder in folders if folder.suffix != ".partial"]
    if not whole:
        raise FileNotFoundError(f"{root} holds no finished step: there is nothing to verify")
    return whole


def faults(folder: Path) -> Iterator[str]:
    """Missing and changed files of a finished step, a sentence for each."""
    try:
        checksums = Run.load(folder).record["checksums"]
    except DamagedFileError as error:
        yield str(error)
        return
    for name, written in checksums.items():
        file = folder / name
        if not file.is_file():
            yield f"{file} is missing"
        elif file_digest(file) != written:
            yield f"{file} is not what was written: its checksum differs"
