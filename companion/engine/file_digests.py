"""Digests of files that every step asks for, computed anew only where a file may have changed.

A publisher's table can have hundreds of megabytes, and a build looks at it in every step. So a
digest is kept beside the runs, with what the system says of the file: its size, its inode and the
times of its last change, of which no program can set back the second (`st_ctime`).
"""

import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from companion.engine.errors import DamagedFileError
from companion.engine.files import file_digest
from companion.engine.storage import read_json

CACHE = "digests.json"
# A file may change once more within the same tick of its file system's clock; so git has it, too.
_SETTLED = 2.0  # seconds

logger = logging.getLogger(__name__)


def cached_digest(file: Path, folder: Path) -> str:
    """SHA-256 of a file's bytes, as of `companion.engine.files.file_digest`.

    Args:
        file: to look at.
        folder: of the runs that ask, where digests are kept.
    """
    place, now = str(file.absolute()), _state(file)
    cache = folder / CACHE
    entry = read_cache(cache).get(place)
    if entry is not None and entry["state"] == now:
        return str(entry["sha256"])
    found = file_digest(file)
    latest = max(now["mtime_ns"], now["ctime_ns"]) / 1e9
    if _state(file) == now and time.time() - latest > _SETTLED:
        write_cache(cache, read_cache(cache) | {place: {"state": now, "sha256": found}})
    return found


def _state(file: Path) -> dict[str, int]:
    status = file.stat()
    names = ("size", "mtime_ns", "ctime_ns", "ino", "dev")
    return {name: getattr(status, f"st_{name}") for name in names}


def read_cache(file: Path) -> dict[str, Any]:
    """What a file of JSON holds; nothing if absent or damaged, as it is made again."""
    try:
        return read_json(file)
    except (OSError, DamagedFileError):
        return {}


def write_cache(file: Path, entries: dict[str, Any]) -> None:
    """Writes such a file; of several processes that do so at once, the last one's stays, whole."""
    unfinished = file.with_name(f".{os.getpid()}.{file.name}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(entries, indent=1), encoding="utf-8")
        os.replace(unfinished, file)
    except OSError as error:  # a full disk ends what needs it, and this does not
        unfinished.unlink(missing_ok=True)
        logger.debug("%s cannot be kept (%s)", file, error)
