"""The most memory that something takes, sampled while it is done."""

from collections.abc import Callable
from threading import Event, Thread
from typing import TypeVar

Result = TypeVar("Result")


def watched(
    read: Callable[[], tuple[int, ...]], work: Callable[[], Result]
) -> tuple[Result, list[int]]:
    """What some work returns, and the largest of each figure that was read meanwhile."""
    peaks, done = list(read()), Event()

    def watch() -> None:
        while not done.wait(0.05):
            peaks[:] = map(max, peaks, read())

    watcher = Thread(target=watch)
    watcher.start()
    try:
        return work(), peaks
    finally:
        done.set()
        watcher.join()
