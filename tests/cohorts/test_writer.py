"""The import engine: interruption, order, memory."""

import fcntl
import json
import multiprocessing
import os
import signal
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from companion.cohorts.errors import CohortError
from companion.cohorts.importing import writer
from companion.cohorts.importing.image_files import FrameOptions
from companion.cohorts.registry import build
from companion.cohorts.releases import folder
from companion.cohorts.releases.folder import FolderOptions
from tests.cohorts.releases import Source, files_of, picture


def many(root: Path, number: int) -> Source:
    """A source of so many images."""
    source = Source(root)
    for i in range(number):
        source.add(f"{i}.png", f"p{i}", "AB"[i % 2], "01"[i // 2 % 2])
    source.write_manifest()
    return source


def import_slowly(root: Path, out: Path, on_bad_image: writer.OnBadImage) -> None:
    """In batches of four."""
    read = writer.read_frame

    def slowly(path: Path, options: FrameOptions) -> np.ndarray:
        time.sleep(0.02)
        return read(path, options)

    writer.read_frame, writer.BATCH = slowly, 4
    build(FolderOptions(size=8), root, out, on_bad_image)


def kill_midway(source: Source, out: Path, on_bad_image: writer.OnBadImage) -> Path:
    """Starts an import, kills it after some recorded batches, returns its working folder."""
    started = multiprocessing.get_context("fork").Process(
        target=import_slowly, args=(source.root, out, on_bad_image)
    )
    started.start()
    partial = out.with_name(f".{out.name}.partial")
    record = partial / "progress.json"
    while not record.exists() or json.loads(record.read_text())["read"] < 16:
        assert started.is_alive()
        time.sleep(0.005)
    started.kill()
    started.join()
    assert started.exitcode == -signal.SIGKILL
    assert not out.exists()
    return partial


@pytest.mark.parametrize("on_bad_image", ["error", "skip"])
def test_killed_import_resumes_with_the_same_bytes(tmp_path, monkeypatch, on_bad_image):
    source = many(tmp_path / "data", 100)
    if on_bad_image == "skip":
        for i in range(0, 100, 7):
            (source.root / f"{i}.png").write_text("no image")
    partial = kill_midway(source, tmp_path / "killed", on_bad_image)
    with (partial / "sources.jsonl").open("ab") as listed:
        listed.write(b'{"path": "99.p')  # as if killed while writing
    read: list[Path] = []
    real = writer.read_frame
    monkeypatch.setattr(writer, "read_frame", lambda p, o: (read.append(p), real(p, o))[1])
    source.build(tmp_path / "killed", on_bad_image)
    assert 0 < len(read) <= 100 - 16  # four batches of four were on record
    source.build(tmp_path / "whole", on_bad_image)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
    assert not partial.exists()


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A source of 40 images whose import to `cohort` was interrupted after some batches of four."""
    source = many(tmp_path / "data", 40)
    with monkeypatch.context() as patch:
        patch.setattr(writer, "BATCH", 4)
        counts = iter(range(40))
        real = writer.read_frame

        def stopping(path: Path, options: FrameOptions) -> np.ndarray:
            if next(counts) == 35:
                raise KeyboardInterrupt
            return real(path, options)

        patch.setattr(writer, "read_frame", stopping)
        with pytest.raises(KeyboardInterrupt):
            source.build(tmp_path / "cohort")
    return source


def test_import_of_something_else_starts_anew(interrupted: Source, tmp_path: Path) -> None:
    Image.fromarray(picture(999)).save(interrupted.root / "0.png")  # changed in between
    interrupted.build(tmp_path / "cohort", size=10)
    interrupted.build(tmp_path / "whole", size=10)
    assert files_of(tmp_path / "cohort") == files_of(tmp_path / "whole")


def test_record_ahead_of_the_frames_is_not_believed(interrupted: Source, tmp_path: Path) -> None:
    partial = tmp_path / ".cohort.partial"
    os.truncate(partial / "images.npy", 128 + 5 * 64)  # five frames; 32 are on record
    interrupted.build(tmp_path / "cohort")
    interrupted.build(tmp_path / "whole")
    assert files_of(tmp_path / "cohort") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("lost", ["progress.json", "sources.jsonl"])
@pytest.mark.parametrize("left", [bytes(99), b"[]"], ids=["zeros", "an empty list"])
def test_a_damaged_record_is_not_believed(interrupted, tmp_path, lost: str, left: bytes) -> None:
    (tmp_path / ".cohort.partial" / lost).write_bytes(left)
    interrupted.build(tmp_path / "cohort")
    interrupted.build(tmp_path / "whole")
    assert files_of(tmp_path / "cohort") == files_of(tmp_path / "whole")


def test_result_does_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    source = many(tmp_path / "data", 60)
    (source.root / "11.png").write_bytes(b"")
    plan = folder.plan(FolderOptions(size=8), source.root)
    for workers in (1, 7):
        writer.write(plan, tmp_path / str(workers), "skip", workers=workers)
    assert files_of(tmp_path / "1") == files_of(tmp_path / "7")


def test_first_bad_row_is_named_whatever_the_workers(tmp_path: Path) -> None:
    source = many(tmp_path / "data", 60)
    for i in (20, 21, 40):
        (source.root / f"{i}.png").write_text("no image")
    plan = folder.plan(FolderOptions(size=8), source.root)
    with pytest.raises(CohortError, match=r"row 22: image '20\.png'"):
        writer.write(plan, tmp_path / "cohort", workers=8)


def test_two_imports_into_one_folder(tmp_path: Path) -> None:
    source = many(tmp_path / "data", 20)
    partial = tmp_path / ".cohort.partial"
    partial.mkdir()
    with (partial / "sources.jsonl").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(CohortError, match="another process is importing"):
            source.build(tmp_path / "cohort")
    assert len(source.build(tmp_path / "cohort")) == 20


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    size, few, more = 512, 20, 60
    peaks = []
    for number in (few, few, more):  # the first run warms caches
        source = many(tmp_path / f"data{len(peaks)}", number)
        plan = folder.plan(FolderOptions(size=size), source.root)
        tracemalloc.start()
        writer.write(plan, tmp_path / f"cohort{len(peaks)}", workers=2)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    frames = (more - few) * size * size
    assert peaks[2] - peaks[1] < 0.1 * frames
