"""Processes that are forks of one that has imported torch and its like, which takes ten seconds."""

import multiprocessing
import sys
from multiprocessing.context import ForkServerContext

# Not on macOS, whose libraries do not survive a fork.
PRELOADED = ["tests.killable", "timm", "torch.distributed"] if sys.platform == "linux" else []


def context() -> ForkServerContext:
    """Starts such processes."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(PRELOADED)
    return made
