"""Processes that are forks of one that has imported torch and its like, which takes ten seconds."""

import multiprocessing
from multiprocessing.context import ForkServerContext

PRELOADED = ["tests.killable", "timm", "torch.distributed"]


def context() -> ForkServerContext:
    """Starts such processes."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(PRELOADED)
    return made
