"""Fixtures for every test."""

import os
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import torch

from ccl import devices
from tests import pretend_device, small_disk
from tests.forks import context
from tests.pair import Pair
from tests.small_disk import SmallDisk

# Small tensors gain nothing from threads, and threads that wait for a busy core cost minutes.
torch.set_num_threads(1)

_ROOT = Path(__file__).parents[1]


@pytest.fixture
def half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mixed precision as wanted, also on a processor without instructions for bfloat16."""
    monkeypatch.setattr(devices, "computes_in_bfloat16", lambda device_type: True)


@pytest.fixture
def device() -> Iterator[torch.device]:
    """A device that is not the CPU, on any machine."""
    with pretend_device.pretend_device() as found:
        yield found


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real images, which the project never contains; skips where it is absent."""
    folder = Path(os.environ.get("CCL_SHARED_DATA", _ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real images: set CCL_SHARED_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def nih_small(shared_data: Path) -> Path:
    """2,601 radiographs of NIH ChestX-ray14 in the publisher's layout."""
    folder = shared_data / "nih-chestxray14-small"
    if not folder.is_dir():
        pytest.skip(f"no real radiographs: {folder} is absent")
    return folder


@pytest.fixture(scope="session")
def forks() -> ForkServerContext:
    """Starts processes that have torch imported."""
    return context()


@pytest.fixture(scope="session")
def pair(forks: ForkServerContext) -> Iterator[Pair]:
    """Two processes that work as one."""
    started = Pair(forks)
    yield started
    started.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk that can be filled; skips where none can be mounted."""
    folder = tmp_path / "disk"
    if hindered := small_disk.mount(folder):
        pytest.skip(f"no small disk can be mounted: {hindered}")
    yield SmallDisk(folder)
    small_disk.unmount(folder)
