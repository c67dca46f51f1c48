"""The front door: help, set-up and the lock around a build."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()
ALONE = [sys.executable, str(ROOT / "workflow" / "alone.py")]


# `make test` hands these to what it starts; the make that is tested must not take them for its own.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}


def make(*arguments: str, folder: Path = ROOT) -> str:
    done = subprocess.run(
        ["make", *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def targets() -> list[str]:
    return re.findall(r"^([a-z][a-z-]*):(?!=)", MAKEFILE, flags=re.MULTILINE)


def test_help_lists_every_target_in_one_line_each() -> None:
    listed = make("help").splitlines()[1:]
    assert [line.split()[0] for line in listed] == targets()
    assert all(len(line.split()) > 2 for line in listed)
    assert all(len(line) <= 100 for line in listed)


def test_promised_targets_exist() -> None:
    promised = {"help", "setup", "book", "test", "test-slow", "test-browser", "study", "lint"}
    promised |= {"format", "lock", "serve", "clean"}
    assert promised <= set(targets())


def test_help_is_the_default() -> None:
    assert make() == make("help")


@pytest.mark.parametrize("target", ["book", "test"])
def test_sets_up_once(target: str, tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    before = make("--dry-run", target, folder=tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".installed").touch()
    after = make("--dry-run", target, folder=tmp_path)
    assert "uv pip install" in before
    assert "uv pip install" not in after
    later = time.time() + 10
    os.utime(tmp_path / "requirements.txt", (later, later))
    assert "uv pip install" in make("--dry-run", target, folder=tmp_path)


def test_variables_reach_the_workflow() -> None:
    command = make("--dry-run", "book", "PROFILE=tiny", "COHORT=nih", "DATA_ROOT=my data")
    data = "on_bad_image=error on_changed_data=error 'data_root=my data'"
    assert f"profile=tiny cohort=nih {data}" in command
    assert "data_root" not in make("--dry-run", "book", "DATA_ROOT=")


def test_a_python_that_is_too_old_is_refused(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path / "Makefile")
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    done = subprocess.run(
        ["make", "setup", "PYTHONS=no-such-python false"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "No Python 3.11, 3.12 or 3.13 found" in done.stderr


def test_builds_wait_for_each_other(tmp_path: Path) -> None:
    lock, told = tmp_path / "lock", tmp_path / "told"
    slow = subprocess.Popen([*ALONE, str(lock), "sh", "-c", f"sleep 1; echo first >> {told}"])
    while not lock.exists():
        time.sleep(0.01)
    second = subprocess.run(
        [*ALONE, str(lock), "sh", "-c", f"echo second >> {told}"], capture_output=True, text=True
    )
    assert slow.wait() == 0
    assert "waiting" in second.stderr
    assert told.read_text().split() == ["first", "second"]


def test_a_killed_build_leaves_no_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    killed = subprocess.Popen([*ALONE, str(lock), "sleep", "60"])
    while not lock.exists():
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    after = subprocess.run([*ALONE, str(lock), "true"], capture_output=True, text=True, timeout=20)
    assert after.returncode == 0
    assert after.stderr == ""
