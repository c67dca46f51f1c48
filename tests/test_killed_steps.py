"""Steps that are killed with SIGKILL at a delicate point end as undisturbed ones."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest

from tests import killable

_ROOT = Path(__file__).parents[1]


def kill(step: str, root: Path) -> None:
    """Starts a step in another process, and kills that at its delicate point."""
    command = [sys.executable, "-m", "tests.killable", f"stop_{step}", str(root)]
    environment = os.environ | {"PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}
    reached = root / killable.REACHED
    with subprocess.Popen(
        command, cwd=_ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as started:
        while not reached.exists() or not reached.read_text():
            assert started.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        started.send_signal(signal.SIGKILL)
        assert started.wait() == -signal.SIGKILL
    with suppress(ProcessLookupError):
        os.kill(int(reached.read_text()), signal.SIGKILL)  # a kernel outlives it by a moment
    reached.unlink()


def results(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.name != "run.json"}


@pytest.mark.parametrize("step", ["bank", "training"])
def test_killed_and_started_again(step: str, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for root in (whole, killed):
        root.mkdir()
    kill(step, killed)
    (partial,) = (killed / step).glob("*.partial")
    begun = {"bank": "progress-0.txt", "training": "checkpoints/previous.ckpt"}
    assert (partial / begun[step]).exists()  # and so something to go on from
    found = results(killable.STEPS[step](killed).folder)
    assert found == results(killable.STEPS[step](whole).folder)
    assert not list(killed.rglob("*.partial"))


def test_a_notebook_killed_and_started_again(tmp_path: Path) -> None:
    kill("notebook", tmp_path)
    made = killable.notebook(tmp_path).folder
    cells = nbformat.read(made / "a.ipynb", as_version=4).cells
    assert cells[-1].outputs[0].text == "42\n"
    assert sorted(path.name for path in made.iterdir()) == ["a.ipynb", "run.json"]
    assert not list(tmp_path.rglob("*.partial"))
