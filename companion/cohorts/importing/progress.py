"""How far an import is: what lies beside its unfinished images, and another goes on from."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from companion.cohorts.errors import CohortError
from companion.cohorts.importing.sources import SOURCES, SourceFile
from companion.engine.files import lock, write_atomically
from companion.engine.storage import DamagedFileError, read_json

PROGRESS = "progress.json"


@dataclass
class Progress:
    """How far one import is, and its list of the files that were read.

    Attributes:
        folder: of the unfinished import.
        sources: the open list.
        key: names the import; another one is not gone on from.
        read: planned rows that are done.
        written: frames of these.
        skipped: rows without a frame: place, file, row and reason.
    """

    folder: Path
    sources: IO[bytes]
    key: str
    read: int = 0
    written: int = 0
    skipped: list[dict[str, Any]] = field(default_factory=list)

    def resume(self, max_frames: int) -> None:
        """Goes on from an interrupted import of the same key, if what it wrote is on disk."""
        last: dict[str, Any] = {}
        with suppress(FileNotFoundError, DamagedFileError):  # then nothing is known
            last = read_json(self.folder / PROGRESS)
        known = last.get("import") == self.key and last["written"] <= max_frames
        known = known and last["listed"] <= self.sources.seek(0, os.SEEK_END)
        if known:
            self.read, self.written, self.skipped = last["read"], last["written"], last["skipped"]
        self.sources.truncate(last["listed"] if known else 0)
        self.sources.seek(0, os.SEEK_END)

    def add_source(self, source: SourceFile) -> None:
        """Lists a file that was read."""
        self.sources.write(json.dumps(asdict(source)).encode() + b"\n")

    def save(self) -> None:
        """Stores how far the import is, once the frames are on disk."""
        fsync(self.sources)
        counts = {"read": self.read, "written": self.written, "listed": self.sources.tell()}
        state = {"import": self.key, **counts, "skipped": self.skipped}
        write_atomically(self.folder / PROGRESS, json.dumps(state))


@contextmanager
def locked_list(partial: Path) -> Iterator[IO[bytes]]:
    """The list of files in the folder of an unfinished import, open for this process alone.

    Raises:
        CohortError: another process has it.
    """
    path = partial / SOURCES
    with path.open("ab") as sources:
        try:
            lock(sources, path, wait=False)
        except BlockingIOError:
            raise CohortError(
                f"{partial}: another process is importing there; wait until it has finished"
            ) from None
        yield sources


def fsync(file: IO[bytes]) -> None:
    """Returns once the content of an open file is on disk."""
    file.flush()
    os.fsync(file.fileno())
