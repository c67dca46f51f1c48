"""The most memory that a part of a process's life takes."""

import resource
import sys
from threading import Event, Thread

import psutil

_INTERVAL = 0.1  # seconds between two looks


class MemoryMeter:
    """Watches the process from when it is made until it is asked.

    The system keeps the peak of a process's whole life. Where that rises meanwhile it is the part's
    own, and exact; otherwise memory is what was seen at intervals.
    """

    def __init__(self) -> None:
        self._process, self._before = psutil.Process(), lifetime_peak()
        self._seen, self._done = self._resident(), Event()
        self._watcher = Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def peak(self) -> int:
        """Bytes, at most, since the meter was made; it stops watching."""
        self._done.set()
        self._watcher.join()
        peak = lifetime_peak()
        return peak if peak > self._before else max(self._seen, self._resident())

    def _watch(self) -> None:
        while not self._done.wait(_INTERVAL):
            self._seen = max(self._seen, self._resident())

    def _resident(self) -> int:
        return int(self._process.memory_info().rss)


def lifetime_peak() -> int:
    """The most bytes that this process ever held; macOS counts bytes, others KiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
