"""Steps that are killed with SIGKILL at a delicate point end as undisturbed ones."""

import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from tests import killable


def kill(forks: ForkServerContext, step: Callable[[Path], Any], root: Path) -> None:
    """Starts a step in another process, and kills that at its delicate point."""
    reached = root / killable.REACHED
    started = forks.Process(target=step, args=(root,))
    started.start()
    while not reached.exists():
        assert started.is_alive(), "it ended before it was killed"
        time.sleep(0.01)
    started.kill()
    started.join()
    assert started.exitcode == -signal.SIGKILL
    reached.unlink()


def results(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.name != "run.json"}


@pytest.mark.parametrize(
    ("step", "stopping", "begun"),
    [
        (killable.bank, killable.stop_bank, "progress-0.txt"),
        (killable.training, killable.stop_training, "checkpoints/previous.ckpt"),
    ],
    ids=["bank", "training"],
)
def test_killed_and_started_again(step, stopping, begun, forks, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for root in (whole, killed):
        root.mkdir()
    kill(forks, stopping, killed)
    (partial,) = killed.glob("*/*.partial")
    assert (partial / begun).exists()  # and so something to go on from
    assert results(step(killed).folder) == results(step(whole).folder)
    assert not list(killed.rglob("*.partial"))
