"""Steps: whole or absent, loaded or computed, and what their records say."""

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from companion.engine import runs
from companion.engine.files import lock, replacing
from companion.engine.runs import Step

MIB = 2**20


def step(root: Path, **changes) -> Step:
    fields = {"name": "probe", "options": {"a": 1}, "inputs": {}, "modules": ("ccl.pairs",)}
    return Step(root, **{**fields, **changes})


def write(folder: Path) -> dict[str, int]:
    (folder / "result.txt").write_text("whole")
    return {"items": 1}


def test_a_finished_step_is_loaded_not_repeated(tmp_path):
    first = step(tmp_path).run(write)
    second = step(tmp_path).run(lambda folder: pytest.fail("computed again"))
    assert second.folder == first.folder
    assert second.record["noted"] == {"items": 1}
    assert set(second.record["checksums"]) == {"result.txt"}
    assert {"git_revision", "device", "seconds", "options", "python"} <= set(second.record)
    assert second.record["versions"]["torch"]


def test_a_changed_file_marks_the_revision_unless_runs_write_to_it(tmp_path, monkeypatch):
    for place in ("study", "ccl"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "file").touch()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init"], ["add", "."], ["commit", "--no-gpg-sign", "-m", "first"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    committed = runs._git_revision()
    assert len(committed) == 12
    (tmp_path / "study" / "file").write_text("a record")
    assert runs._git_revision() == committed
    (tmp_path / "ccl" / "file").write_text("changed")
    assert runs._git_revision() == f"{committed}-dirty"


def test_a_killed_step_leaves_no_result_and_goes_on(tmp_path):
    def killed(folder):
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step(tmp_path).run(killed)
    assert not step(tmp_path).folder.exists()

    def resumed(folder):
        assert (folder / "half").read_text() == "half"

    done = step(tmp_path).run(resumed)
    assert (done.folder / "run.json").is_file()
    assert done.record["continued"]  # so that nobody takes its seconds for all
    assert not step(tmp_path, name="other").run(write).record["continued"]


def test_a_folder_that_lost_its_record_is_made_anew(tmp_path):
    folder = step(tmp_path).run(write).folder
    (folder / "run.json").unlink()
    (folder / "other.txt").touch()
    assert step(tmp_path).run(write).folder == folder
    assert sorted(path.name for path in folder.iterdir()) == ["result.txt", "run.json"]


def test_a_training_is_not_lost_before_its_record_is_whole(tmp_path, monkeypatch):
    """Its checkpoints stay until then, and are no results."""

    def trained(folder):
        write(folder)
        (folder / "checkpoints").mkdir(exist_ok=True)
        (folder / "checkpoints" / "last.ckpt").touch()

    with monkeypatch.context() as patch:
        patch.setattr(runs, "write_atomically", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            step(tmp_path).run(trained)
    partial = step(tmp_path).folder.with_suffix(".partial")
    assert (partial / "checkpoints" / "last.ckpt").exists()
    done = step(tmp_path).run(trained)
    assert set(done.record["checksums"]) == {"result.txt"}
    assert sorted(path.name for path in done.folder.iterdir()) == ["result.txt", "run.json"]


def test_the_digest_depends_on_options_inputs_and_code(tmp_path):
    base = step(tmp_path)
    made = base.run(write)
    others = [
        step(tmp_path, options={"a": 2}),
        step(tmp_path, inputs={"x": made}),
        step(tmp_path, modules=("ccl.losses.nt_xent",)),
        step(tmp_path, name="other"),
    ]
    assert len({base.digest, *(other.digest for other in others)}) == 5


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is the peak of the whole process")
def test_a_step_answers_for_the_memory_that_it_freed_again_and_for_no_other(tmp_path):
    def holding(mebibytes):
        return lambda folder: np.ones(mebibytes * MIB, np.uint8).sum() and None

    peaks = [
        step(tmp_path, name=name).run(holding(size)).record["peak_memory_mib"]
        for name, size in (("much", 256), ("little", 1))
    ]
    assert peaks[0] > peaks[1] + 200


def failing(code):
    def flock(*_):
        raise OSError(code, "cannot")

    return flock


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_step_is_done_without_locks_and_says_so(code, tmp_path, monkeypatch, caplog):
    """As on Lustre without the mount option 'flock'."""
    monkeypatch.setattr(fcntl, "flock", failing(code))
    assert step(tmp_path).run(write).record["noted"] == {"items": 1}
    assert f"the file system of {tmp_path / 'probe'} cannot lock files" in caplog.text


def test_other_faults_of_a_file_system_stay_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", failing(errno.EIO))
    with (tmp_path / "a").open("wb") as file, pytest.raises(OSError, match="cannot"):
        lock(file, tmp_path / "a", wait=True)


def test_a_replacement_that_is_interrupted_leaves_what_was_there_and_nothing_else(tmp_path):
    file = tmp_path / "list.jsonl"
    file.write_text("old")

    def cut_off():
        with replacing(file) as unfinished:
            unfinished.write("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.read_text() == "old"
