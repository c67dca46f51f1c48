"""File locks, and file systems that have none."""

import errno
import fcntl
from collections.abc import Callable

import pytest

from companion.engine.locks import lock
from companion.engine.runs import Step


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_step_is_done_without_locks_and_says_so(code, tmp_path, monkeypatch, caplog):
    """As on Lustre without the mount option 'flock'."""
    monkeypatch.setattr(fcntl, "flock", failing(code))
    done = Step(tmp_path, "probe", {}, {}, ("ccl.pairs",)).run(lambda folder: {"items": 1})
    assert done.record["noted"] == {"items": 1}
    assert f"the file system of {tmp_path / 'probe'} cannot lock files" in caplog.text


def test_other_faults_of_a_file_system_stay_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", failing(errno.EIO))
    with (tmp_path / "a").open("wb") as file, pytest.raises(OSError, match="cannot"):
        lock(file, tmp_path / "a", wait=True)


def failing(code: int) -> Callable[..., None]:
    def flock(*_: object) -> None:
        raise OSError(code, "cannot")

    return flock
