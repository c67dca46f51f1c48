"""A build that is killed at any moment and started again ends as an undisturbed one."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from tests import checkout

RESULTS = Path("runs/tiny/phantom-chest/results.csv")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, float]:
    """Results of a build that nobody killed, and its seconds."""
    folder = checkout.copy(tmp_path_factory.mktemp("undisturbed"))
    start = time.monotonic()
    checkout.finish(checkout.snakemake(folder, "results"))
    return pd.read_csv(folder / RESULTS), time.monotonic() - start


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_and_started_again(seed, undisturbed, tmp_path):
    expected, seconds = undisturbed
    folder = checkout.copy(tmp_path / "killed")
    chance = random.Random(seed)
    for _ in range(2):
        process = checkout.snakemake(folder, "results")
        try:
            process.communicate(timeout=chance.uniform(0.1, 0.8) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    checkout.finish(checkout.snakemake(folder, "results"))
    pd.testing.assert_frame_equal(pd.read_csv(folder / RESULTS), expected, rtol=0, atol=1e-6)
    assert not list((folder / RESULTS).parent.rglob("*.partial"))
    shutil.rmtree(folder)
