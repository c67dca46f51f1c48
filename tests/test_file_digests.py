"""Digests that are kept: right whatever was done to the file, and not computed twice."""

import hashlib
import os
from pathlib import Path

import pytest

from companion.engine import file_digests
from companion.engine.file_digests import CACHE, cached_digest


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read, where a file counts as settled at once."""
    files: list[Path] = []
    real = file_digests.file_digest
    monkeypatch.setattr(
        file_digests, "file_digest", lambda path: (files.append(path), real(path))[1]
    )
    monkeypatch.setattr(file_digests, "_SETTLED", -60)
    return files


def of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_is_read_once_by_all_processes_that_ask(tmp_path: Path, read: list[Path]) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(b"a")
    assert [cached_digest(file, tmp_path / "runs") for _ in range(3)] == [of(b"a")] * 3
    assert read == [file]


def test_a_change_that_keeps_size_and_date_is_found(tmp_path: Path, read: list[Path]) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(b"a")
    cached_digest(file, tmp_path)
    before = file.stat()
    while file.stat().st_ctime_ns == before.st_ctime_ns:  # a clock may tick slowly
        file.write_bytes(b"b")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert cached_digest(file, tmp_path) == of(b"b")


def test_of_a_file_just_written_nothing_is_kept(tmp_path: Path) -> None:
    """It may change once more before the clock of its file system ticks."""
    file = tmp_path / "table.csv"
    file.write_bytes(b"a")
    assert cached_digest(file, tmp_path) == of(b"a")
    assert not (tmp_path / CACHE).exists()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]"])
def test_damaged_notes_are_made_again(damage: bytes, tmp_path: Path, read: list[Path]) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(b"a")
    cached_digest(file, tmp_path)
    (tmp_path / CACHE).write_bytes(damage)
    assert [cached_digest(file, tmp_path) for _ in range(2)] == [of(b"a")] * 2
    assert len(read) == 2
