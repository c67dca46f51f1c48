"""The front door: help, set-up and the lock around a build."""

import json
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
    said = make("help")
    assert make() == said
    listed = said.splitlines()[1:]
    assert [line.split()[0] for line in listed] == targets()
    assert all(len(line.split()) > 2 for line in listed)
    assert all(len(line) <= 100 for line in listed)
    assert {"setup", "book", "test", "study", "lint", "serve", "clean"} <= set(targets())


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


def pretended(folder: Path) -> Path:
    """A set-up project whose Python only keeps what it is told: words and `CCL_...`."""
    shutil.copy(ROOT / "Makefile", folder)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    keeps = f"#!{sys.executable}\nimport json, os, sys\nask = dict(os.environ)\n"
    keeps += "told = {k: v for k, v in ask.items() if k.startswith('CCL_')} | {'': sys.argv}\n"
    python.write_text(f"{keeps}print(json.dumps(told), file=open({str(folder / 'told')!r}, 'a'))\n")
    python.chmod(0o755)
    for name in ("requirements.txt", "pyproject.toml", ".venv/.installed"):
        (folder / name).touch()
    return folder


def told(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "told").read_text().splitlines()]


def test_what_is_asked_for_reaches_the_workflow(tmp_path: Path) -> None:
    asked = {"PROFILE": "tiny", "COHORT": "nih", "ON_BAD_IMAGE": "skip"}
    asked |= {"ON_CHANGED_DATA": "reimport", "DATA_ROOT": "my data"}
    make("book", *(f"{name}={word}" for name, word in asked.items()), folder=pretended(tmp_path))
    (found,) = (each for each in told(tmp_path) if "snakemake" in each[""])
    assert found.items() >= {f"CCL_{name}": word for name, word in asked.items()}.items()


HARD = 'study #2: {x} $HOME $(shell false) o\'brien "b" a\\ b, c'


@pytest.mark.parametrize(
    ("target", "name"),
    [("book", "007"), *((target, HARD) for target in ("book", "results", "plan", "study"))],
)
def test_a_data_root_arrives_as_it_was_given(name: str, target: str, tmp_path: Path) -> None:
    make(target, f"DATA_ROOT={name}", folder=pretended(tmp_path))
    last = told(tmp_path)[-1]
    assert last["CCL_DATA_ROOT"] == name
    if target == "study":
        assert last[""][-2:] == ["--data-root", name]


def test_study_makes_the_phantoms_without_the_data_root_and_nih_with_it(tmp_path: Path) -> None:
    make("study", "DATA_ROOT=$a #", folder=pretended(tmp_path))
    builds = [each for each in told(tmp_path) if "snakemake" in each[""]]
    found = [(each["CCL_COHORT"], each["CCL_DATA_ROOT"]) for each in builds]
    assert found == [("phantom-chest", ""), ("nih", "$a #")]


def test_every_program_starts_without_the_user_s_settings(tmp_path: Path) -> None:
    pretended(tmp_path)
    commands = [make("--dry-run", each, folder=tmp_path) for each in targets() if each != "help"]
    first = re.findall(r"^.*?\.venv/bin/python (\S+)", "".join(commands), re.MULTILINE)
    assert set(first) == {"-I"}


def test_a_python_that_is_too_old_is_refused(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path / "Makefile")
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    command = ["make", "setup", "PYTHONS=no-such-python false"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
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


def test_without_locks_a_build_goes_on_and_says_what_to_do(tmp_path: Path) -> None:
    """As on Lustre without the mount option 'flock'."""
    cannot = (
        "import errno, fcntl, runpy, sys\n"
        "def flock(*_): raise OSError(errno.ENOLCK, 'cannot')\n"
        "fcntl.flock = flock; sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", cannot, ALONE[1], str(tmp_path / "runs" / ".lock")]
    done = subprocess.run([*command, "echo", "built"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "built"
    assert f"the file system of {tmp_path / 'runs'} cannot lock" in done.stderr
    assert "Start only one" in done.stderr


def test_a_killed_build_leaves_no_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    killed = subprocess.Popen([*ALONE, str(lock), "sleep", "60"])
    while not lock.exists():
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    after = subprocess.run([*ALONE, str(lock), "true"], capture_output=True, text=True, timeout=600)
    assert after.returncode == 0
    assert after.stderr == ""
