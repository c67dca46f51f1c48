"""File locks, and file systems that have none."""

import errno
import fcntl
from pathlib import Path

import pytest

from companion.engine.locks import lock
from companion.engine.runs import Step


@pytest.fixture(params=["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Lustre without the mount option 'flock'."""

    def flock(*_: object) -> None:
        raise OSError(getattr(errno, request.param), "cannot")

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.usefixtures("no_locks")
def test_a_step_is_done_without_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done = Step(tmp_path, "probe", {}, {}, ("ccl.pairs",)).run(lambda folder: {"items": 1})
    assert done.record["noted"] == {"items": 1}
    assert f"the file system of {tmp_path / 'probe'} cannot lock files" in caplog.text


def test_a_lock_that_another_holds_is_said(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as held, (tmp_path / "a").open("wb") as file:
        lock(held, tmp_path / "a", wait=False)
        with pytest.raises(BlockingIOError):
            lock(file, tmp_path / "a", wait=False)


def test_other_faults_of_a_file_system_stay_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(fcntl, "flock", flock)
    with (tmp_path / "a").open("wb") as file, pytest.raises(OSError, match="broken"):
        lock(file, tmp_path / "a", wait=True)
