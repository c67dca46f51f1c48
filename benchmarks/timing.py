"""Timing side by side."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any


def in_turns(functions: Sequence[Callable[[], Any]], rounds: int) -> list[float]:
    """Median seconds per call of each function.

    The functions take turns, so that whatever else the machine does meets all of them alike;
    each is called once beforehand.
    """
    for function in functions:
        function()
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for taken, function in zip(seconds, functions, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]
