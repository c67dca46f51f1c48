"""Made-up releases of the clinical cohorts: every file and column as published, no real patient.

They are as untidy as the real ones (missing values, ages like '058Y', uncertain labels, cut-off
images, headers that occur twice), small, and the same for the same seed. Tests import them through
the real importers, and the dry run of profile `paper` goes through every step with them. The
pictures hold just enough for scanner and label to be told apart; nothing can be concluded from
them.
"""

import importlib
import shutil
from pathlib import Path

from companion.cohorts.registry import SOURCES

# Those of whose releases a module here makes one up: its `write(folder, patients, seed)`.
RELEASES = tuple(name for name in SOURCES if (Path(__file__).parent / f"{name}.py").is_file())


def make(name: str, folder: Path, patients: int, seed: int = 0) -> None:
    """Writes one of `RELEASES`; the folder, which must not exist, appears whole or not at all.

    There are so many regular patients; a few irregular ones come on top.

    Raises:
        ValueError: the name is unknown, there are too few patients, or the folder exists.
    """
    if name not in RELEASES:
        raise ValueError(f"there is no made-up release '{name}'; there are {', '.join(RELEASES)}")
    if patients < 48:
        raise ValueError(f"{patients} patients are too few to split; give 48 or more")
    if folder.exists():
        raise ValueError(f"{folder} exists; remove it, or name another folder")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    importlib.import_module(f"{__name__}.{name}").write(partial, patients, seed)
    partial.rename(folder)
