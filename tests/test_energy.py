"""Counters are read where they can be, and nothing is claimed where they cannot."""

import sys
from pathlib import Path

import pytest

from companion.engine import energy
from companion.engine.energy import LONGEST, EnergyMeter


@pytest.fixture(autouse=True)
def without_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(energy, "NVIDIA", tmp_path / "no-driver")


def package(powercap: Path, name: str, microjoules: int, largest: int = 1_000_000_000) -> Path:
    folder = powercap / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{largest}\n")
    return folder


def test_packages_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        package(tmp_path, name, 5_000_000)
    meter = EnergyMeter(tmp_path)
    package(tmp_path, "intel-rapl:0", 8_000_000)
    package(tmp_path, "intel-rapl:1", 5_500_000)
    package(tmp_path, "intel-rapl:0:0", 9_000_000)
    assert meter.joules() == 3.5


def test_a_counter_may_start_again(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0", 999_000_000)
    meter = EnergyMeter(tmp_path)
    package(tmp_path, "intel-rapl:0", 2_000_000)
    assert meter.joules() == 3.0


def test_what_cannot_be_known_is_not_a_figure(tmp_path: Path, monkeypatch) -> None:
    assert EnergyMeter(tmp_path).joules() is None  # no counter at all
    package(tmp_path, "intel-rapl:0", 1)
    times = iter([0.0, LONGEST + 1])
    assert EnergyMeter(tmp_path, clock=lambda: next(times)).joules() is None
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("no number")
    assert EnergyMeter(tmp_path).joules() is None


def test_a_gpu_whose_counter_nobody_can_read_leaves_no_figure(tmp_path: Path, monkeypatch) -> None:
    package(tmp_path, "intel-rapl:0", 1)
    assert EnergyMeter(tmp_path).joules() == 0
    monkeypatch.setattr(energy, "NVIDIA", tmp_path)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert EnergyMeter(tmp_path).joules() is None
