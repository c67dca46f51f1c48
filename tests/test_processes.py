"""Two processes that work as one: their steps, and how they end."""

import os
import shutil
import subprocess
import sys
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ccl import distributed
from companion.engine import processes
from companion.engine.runs import Step
from tests.pair import free_port


def run_step(root: Path, shared: bool) -> tuple[list[int], str, int]:
    computed = []

    def compute(folder: Path) -> None:
        computed.append(distributed.world_size())
        if distributed.is_main_process():
            (folder / "result.txt").write_text("whole")

    run = Step(root, "probe", {"shared": shared}, {}, ("ccl.pairs",), shared=shared).run(compute)
    return computed, str(run.folder), run.record["processes"]


def test_a_shared_step_is_computed_by_all_and_others_by_the_first_alone(pair, tmp_path):
    together, apart = pair(run_step, tmp_path, True), pair(run_step, tmp_path, False)
    assert [computed for computed, *_ in together] == [[2], [2]]
    assert [computed for computed, *_ in apart] == [[1], []]
    assert [found[2] for found in (*together, *apart)] == [2, 2, 1, 1]
    assert len({folder for _, folder, _ in together}) == 1
    again = pair(run_step, tmp_path, True)
    assert [computed for computed, *_ in again] == [[], []]
    assert not list(tmp_path.rglob("*.partial"))


# What SLURM 22.05 tells a script that `sbatch` runs in an allocation of two tasks ...
ALLOCATED = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "experiment.sh", "SLURM_NNODES": "1"}
ALLOCATED |= {"SLURM_NODELIST": "localhost", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}
ALLOCATED |= dict.fromkeys(("SLURM_PROCID", "SLURM_NODEID", "SLURM_LOCALID"), "0")
# ... and, besides, each of the tasks that `srun` starts there.
TASK = ALLOCATED | {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"}


@pytest.mark.parametrize(
    "told",
    [
        ALLOCATED,
        TASK | {"SLURM_JOB_NAME": "bash"},  # `srun --pty bash`
        TASK | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "1"},
    ],
)
def test_within_an_allocation_only_what_srun_starts_is_several(told, monkeypatch):
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with processes.process_group():
        assert distributed.world_size() == 1


def test_srun_has_to_say_how_many_processes_a_node_has(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TASK.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(ValueError, match="--ntasks-per-node"), processes.process_group():
        pass


def say(environment: dict[str, str], answers: Any) -> None:
    os.environ |= environment
    with processes.process_group():
        said = distributed.broadcast(f"by {distributed.rank()}")
        answers.put((said, distributed.world_size(), distributed.world().nodes))


def test_what_srun_starts_works_as_one(forks: ForkServerContext) -> None:
    """As SLURM's variables say it, here without SLURM, of `srun` within `salloc`."""
    told = TASK | {"SLURM_JOB_NAME": "interactive", "MASTER_PORT": str(free_port())}
    answers = forks.SimpleQueue()
    for rank in ("0", "1"):
        mine = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "CUDA_VISIBLE_DEVICES": ""}
        forks.Process(target=say, args=(told | mine, answers), daemon=True).start()
    assert [answers.get() for _ in range(2)] == [("by 0", 2, 1)] * 2


FAILING = """
from pathlib import Path
from ccl import distributed
from companion.engine import processes
from companion.engine.runs import Step

def compute(folder):
    if distributed.rank() == int({failing}):
        raise SystemExit("this one cannot go on")
    distributed.barrier()

with processes.process_group():
    Step(Path({root!r}), "probe", {{}}, {{}}, ("ccl.pairs",), shared=True).run(compute)
"""


def torchrun(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*command, "--nproc-per-node", "2", *arguments],
        cwd=folder,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow
@pytest.mark.parametrize("failing", [0, 1])
def test_a_process_that_fails_ends_all_with_its_message(tmp_path: Path, failing: int) -> None:
    script = tmp_path / "failing.py"
    script.write_text(FAILING.format(failing=failing, root=str(tmp_path)))
    ended = torchrun(str(script), folder=tmp_path)
    assert ended.returncode != 0
    assert "this one cannot go on" in ended.stderr
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.slow
def test_the_command_line_in_two_processes(tmp_path: Path) -> None:
    """Profile `tiny` end to end: the same files as in one process, and results near."""
    from tests import checkout

    folder = checkout.copy(tmp_path / "checkout")
    wanted = ["-m", "companion", "run", "pretraining", "--profile", "tiny"]
    wanted += ["--encoder", "simclr-counterfactual-0"]
    ended = torchrun(*wanted, folder=folder)
    assert ended.returncode == 0, ended.stderr
    together, two = pretrained(folder)
    shutil.rmtree(together)
    subprocess.run([sys.executable, *wanted], cwd=folder, check=True, capture_output=True)
    alone, one = pretrained(folder)
    assert alone == together
    assert list(two) == list(one)
    # Of other random views, in a few steps: alike, not the same.
    assert two["loss"].to_numpy() == pytest.approx(one["loss"].to_numpy(), rel=0.05)


def pretrained(checkout: Path) -> tuple[Path, pd.DataFrame]:
    """The only pretraining's folder, which holds what it has to, and its history."""
    (record,) = checkout.glob("runs/tiny/phantom-chest/pretraining/*/run.json")
    names = {file.name for file in record.parent.iterdir()}
    assert names == {"run.json", "history.csv", "encoder.safetensors"}
    return record.parent, pd.read_csv(record.with_name("history.csv"))
