"""A copy of the repository to run the workflow in, so that tests leave the real runs alone."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = ("ccl", "companion", "configs", "lectures", "notebooks", "workflow")


def copy(folder: Path) -> Path:
    """Copies what the workflow reads."""
    for name in SOURCES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return folder


def snakemake(
    checkout: Path, *arguments: str, profile: str = "tiny", config: Sequence[str] = ()
) -> subprocess.Popen[str]:
    """Starts the workflow as `make` does, in a process group of its own."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", "workflow/Snakefile"]
    options = ["--cores", "2", "--nolock", "--rerun-incomplete", "--rerun-triggers"]
    options += ["mtime", "input", "--show-failed-logs", *arguments]
    options += ["--config", f"profile={profile}", *config]
    return subprocess.Popen(
        [*command, *options],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Waits for the end, which has to be a good one, and returns what was said."""
    said, _ = process.communicate(timeout=900)
    assert process.returncode == 0, said[-5000:]
    return said
