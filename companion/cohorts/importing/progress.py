"""How far an import is: a record beside its unfinished images, from which another goes on."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from companion.cohorts.errors import CohortError
from companion.engine.files import lock

PROGRESS = "progress.jsonl"


@dataclass
class Progress:
    """The record of one import, a line for each batch of frames that is on disk.

    Attributes:
        record: the open file.
        key: names the import; the record of another one is not gone on from.
        read: planned rows that are done.
        written: frames of these.
        skipped: rows without a frame: place, file, row and reason.
    """

    record: IO[bytes]
    key: str
    read: int = 0
    written: int = 0
    skipped: list[dict[str, Any]] = field(default_factory=list)

    def resume(self, max_frames: int) -> None:
        """Reads how far an interrupted import came, of which so many frames are on disk."""
        end = 0
        self.record.seek(0)
        for line in self.record:
            entry = _parse(line)
            # Another import, a torn line, or what never reached the disk.
            if entry.get("import") != self.key or entry["written"] > max_frames:
                break
            end += len(line)
            self.read, self.written = entry["read"], entry["written"]
            self.skipped += entry["skipped"]
        self.record.truncate(end)

    def save(self, sources: list[dict[str, Any]], skipped: list[dict[str, Any]]) -> None:
        """Appends a batch whose frames are on disk: files read for it, rows without a frame."""
        self.skipped += skipped
        counts = {"import": self.key, "read": self.read, "written": self.written}
        entry = counts | {"skipped": skipped, "sources": sources}
        self.record.write(json.dumps(entry).encode() + b"\n")
        fsync(self.record)

    def write_sources(self, path: Path) -> None:
        """Writes all files that were read to a file, a JSON object a line."""
        self.record.seek(0)
        with path.open("w", encoding="utf-8") as file:
            for line in self.record:
                file.writelines(json.dumps(source) + "\n" for source in _parse(line)["sources"])


@contextmanager
def locked_record(partial: Path) -> Iterator[IO[bytes]]:
    """The record in the folder of an unfinished import, open for this process alone.

    Raises:
        CohortError: another process has it.
    """
    path = partial / PROGRESS
    with path.open("a+b") as record:
        try:
            lock(record, path, wait=False)
        except BlockingIOError:
            raise CohortError(
                f"{partial}: another process is importing there; wait until it has finished"
            ) from None
        yield record


def fsync(file: IO[bytes]) -> None:
    """Returns once the content of an open file is on disk."""
    file.flush()
    os.fsync(file.fileno())


def _parse(line: bytes) -> dict[str, Any]:
    """A line of the record; {} when it was cut off."""
    try:
        return dict(json.loads(line)) if line.endswith(b"\n") else {}
    except ValueError:
        return {}
