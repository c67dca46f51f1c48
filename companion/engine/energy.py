"""Energy that the machine used meanwhile, where its counters can be read.

Counters of the processor packages (RAPL, through Linux's powercap) and of NVIDIA GPUs (NVML, where
`pynvml` is installed). They count the whole machine, whatever else runs on it. Many machines let
nobody but root read them; then there is no figure, which is not the same as no energy.
"""

import importlib
import time
from collections.abc import Callable
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
NVIDIA = Path("/proc/driver/nvidia")
# A package's counter starts again at zero after some hours of full load; one such turn can be told
# from its range, several cannot.
LONGEST = 3600.0  # seconds


class EnergyMeter:
    """Reads the counters when made and when asked."""

    def __init__(
        self, powercap: Path = POWERCAP, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._packages = sorted(powercap.glob("intel-rapl:[0-9]"))
        self._clock, self._start = clock, clock()
        self._before = self._read()

    def joules(self) -> float | None:
        """Energy since the meter was made, or None where it cannot be known."""
        after = self._read()
        if self._before is None or after is None or self._clock() - self._start > LONGEST:
            return None
        (packages, gpus), (packages_now, gpus_now) = self._before, after
        used = sum(
            (now - then) % (self._range(folder) + 1)
            for folder, then, now in zip(self._packages, packages, packages_now, strict=True)
        )
        return round(used / 1e6 + (gpus_now - gpus) / 1e3, 1)

    def _read(self) -> tuple[list[int], int] | None:
        """Microjoules of every package and millijoules of all GPUs; None where one is hidden."""
        gpus = _gpu_millijoules()
        try:
            packages = [
                int((folder / "energy_uj").read_text(encoding="utf-8")) for folder in self._packages
            ]
        except (OSError, ValueError):
            return None
        return None if gpus is None or not packages else (packages, gpus)

    @staticmethod
    def _range(folder: Path) -> int:
        return int((folder / "max_energy_range_uj").read_text(encoding="utf-8"))


def _gpu_millijoules() -> int | None:
    if not NVIDIA.exists():
        return 0
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        handles = map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount()))
        return sum(int(nvml.nvmlDeviceGetTotalEnergyConsumption(each)) for each in handles)
    except nvml.NVMLError:
        return None
