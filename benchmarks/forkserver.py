"""What it gains that the workflow's programs are forks of a process with their imports.

    python benchmarks/forkserver.py

A program that imports what a step that evaluates an encoder does, started by itself and as a fork,
in turns; seconds from start to end, and their ratio.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from companion.engine import forkserver

ROUNDS = 5
PROGRAM = "import companion.evaluation.probing, ccl.encoders.initial_weights\n"


def seconds(command: list[str], folder: Path) -> float:
    """Wall time of a command."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Prints the medians and their ratio."""
    server = forkserver.start({})
    if server is None:
        sys.exit("this system has no pidfd_open, so programs are started by themselves")
    alone, forked = [sys.executable, "-m", "program"], [*forkserver.COMMAND, "program"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
        seconds(forked, folder)  # until the server has imported all
        pairs = [(seconds(alone, folder), seconds(forked, folder)) for _ in range(ROUNDS)]
    by_itself, as_fork = (median(times) for times in zip(*pairs, strict=True))
    print(
        f"by itself {by_itself:.1f} s, as a fork {as_fork:.1f} s: {by_itself / as_fork:.1f} times"
    )
    server.communicate()


if __name__ == "__main__":
    main()
