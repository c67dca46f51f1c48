"""Changes of source files that were accepted: so often was a data root imported anew.

The number is part of the cohort's digest, so that each import is another run beside the earlier.
"""

import json
from pathlib import Path

from companion.engine.files import write_atomically
from companion.engine.storage import read_json

_FILE = "reimports.json"


def read_count(root: Path, data_root: str) -> int:
    """How often a change was accepted.

    Args:
        root: folder of the runs of one profile and cohort.
        data_root: whose files changed.
    """
    return int(_counts(root).get(data_root, 0))


def write_count(root: Path, data_root: str, number: int) -> None:
    """Stores that number, once the import is finished: a killed one changes nothing."""
    write_atomically(root / _FILE, json.dumps(_counts(root) | {data_root: number}, indent=1))


def _counts(root: Path) -> dict[str, int]:
    file = root / _FILE
    return read_json(file) if file.is_file() else {}
