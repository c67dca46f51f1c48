"""The import engine: interruption, order, memory."""

import fcntl
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from companion.cohorts.errors import CohortError
from companion.cohorts.importing import writer
from companion.cohorts.releases import folder
from companion.cohorts.releases.folder import FolderOptions
from tests.cohorts.conftest import Source, files_of, picture

SLOW_IMPORT = """
import sys, time
from pathlib import Path
from companion.cohorts.importing import writer
from companion.cohorts.registry import build
from companion.cohorts.releases.folder import FolderOptions
read = writer.read_frame
def slowly(path, options):
    time.sleep(0.01)
    return read(path, options)
writer.read_frame, writer.BATCH = slowly, 4
build(FolderOptions(size=8), sys.argv[1], sys.argv[2], sys.argv[3])
"""


def many(root: Path, number: int) -> Source:
    """A source of so many images."""
    source = Source(root)
    for i in range(number):
        source.add(f"{i}.png", f"p{i}", "AB"[i % 2], "01"[i // 2 % 2])
    source.write_manifest()
    return source


def kill_midway(source: Source, out: Path, on_bad_image: str) -> Path:
    """Starts an import, kills it after some recorded batches, returns its working folder."""
    command = [sys.executable, "-c", SLOW_IMPORT, str(source.root), str(out), on_bad_image]
    started = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    partial = out.with_name(f".{out.name}.partial")
    record = partial / "progress.jsonl"
    while not record.exists() or record.read_bytes().count(b"\n") < 4:
        assert started.poll() is None
        time.sleep(0.005)
    started.send_signal(signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    assert not out.exists()
    return partial


@pytest.mark.parametrize("on_bad_image", ["error", "skip"])
def test_killed_import_resumes_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_bad_image: writer.OnBadImage
) -> None:
    source = many(tmp_path / "data", 160)
    if on_bad_image == "skip":
        for i in range(0, 160, 7):
            (source.root / f"{i}.png").write_text("no image")
    partial = kill_midway(source, tmp_path / "killed", on_bad_image)
    with (partial / "progress.jsonl").open("ab") as record:
        record.write(b'{"read": 99, "wri')  # as if killed while writing
    read: list[Path] = []
    real = writer.read_frame
    monkeypatch.setattr(writer, "read_frame", lambda p, o: (read.append(p), real(p, o))[1])
    source.build(tmp_path / "killed", on_bad_image)
    assert 0 < len(read) <= 160 - 12  # three batches of four were on record
    source.build(tmp_path / "whole", on_bad_image)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
    assert not partial.exists()


def test_import_of_something_else_starts_anew(tmp_path: Path) -> None:
    source = many(tmp_path / "data", 160)
    kill_midway(source, tmp_path / "killed", "error")
    Image.fromarray(picture(999)).save(source.root / "0.png")  # changed in between
    source.build(tmp_path / "killed", size=10)
    source.build(tmp_path / "whole", size=10)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


def test_record_ahead_of_the_frames_is_not_believed(tmp_path: Path) -> None:
    source = many(tmp_path / "data", 160)
    partial = kill_midway(source, tmp_path / "killed", "error")
    os.truncate(partial / "images.npy", 128 + 5 * 64)  # five frames; the first record says four
    source.build(tmp_path / "killed")
    source.build(tmp_path / "whole")
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_result_does_not_depend_on_the_number_of_workers(tmp_path: Path, workers: int) -> None:
    source = many(tmp_path / "data", 60)
    (source.root / "11.png").write_bytes(b"")
    plan = folder.plan(FolderOptions(size=8), source.root)
    writer.write(plan, tmp_path / "some", "skip", workers=workers)
    writer.write(plan, tmp_path / "one", "skip", workers=3)
    assert files_of(tmp_path / "some") == files_of(tmp_path / "one")


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
    with (partial / "progress.jsonl").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(CohortError, match="another process is importing"):
            source.build(tmp_path / "cohort")
    assert len(source.build(tmp_path / "cohort")) == 20


def test_interrupt_keeps_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = many(tmp_path / "data", 20)
    with monkeypatch.context() as patch:
        patch.setattr(writer, "checksum", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            source.build(tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()
    assert (tmp_path / ".cohort.partial").is_dir()
    assert len(source.build(tmp_path / "cohort")) == 20


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    size, few, more = 256, 100, 400
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
