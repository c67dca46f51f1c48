"""Reading from memory-mapped files: what is read is right, and its pages are given back."""

from pathlib import Path

import numpy as np
import pytest

from companion.engine.mapped import read

STATUS = Path("/proc/self/status")
MIB = 2**20


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """64 MiB of noise in a memory-mapped file."""
    file = tmp_path_factory.mktemp("stored") / "images.npy"
    np.save(file, np.random.default_rng(0).integers(0, 256, (1024, 256, 256), dtype=np.uint8))
    return np.load(file, mmap_mode="r", allow_pickle=False)


@pytest.mark.parametrize(
    "index",
    [
        np.array([5, 2, 2, -1]),
        (np.array([1, 0]), np.array([7, 9])),
        np.arange(1024) % 7 == 3,
        slice(3, 9),
        4,
    ],
)
def test_the_part_is_a_copy(stored: np.ndarray, index: object) -> None:
    part = read(stored, index)
    np.testing.assert_array_equal(part, stored[index])
    assert not np.shares_memory(part, stored)


def test_what_is_written_through_a_map_stays(tmp_path: Path) -> None:
    array = np.lib.format.open_memmap(tmp_path / "own.npy", mode="w+", dtype=np.uint8, shape=(9,))
    copied = np.load(tmp_path / "own.npy", mmap_mode="c", allow_pickle=False)
    array[:], copied[:] = 3, 5  # the second never reaches the file: its pages exist in memory only
    assert read(array, slice(0, 2)).tolist() == [3, 3]
    assert read(copied, slice(0, 2)).tolist() == [5, 5]
    assert copied.tolist() == [5] * 9


@pytest.mark.skipif(not STATUS.exists(), reason="resident pages are counted by Linux")
def test_pages_are_given_back(stored: np.ndarray) -> None:
    before = _mapped_bytes()
    for start in range(0, len(stored), 64):
        stored[start : start + 64].max()
    assert _mapped_bytes() - before > 56 * MIB  # the control: without it they stay
    for start in range(0, len(stored), 64):
        read(stored, slice(start, start + 64)).max()
        assert _mapped_bytes() - before < 8 * MIB


def _mapped_bytes() -> int:
    fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(fields["RssFile"].split()[0]) * 1024
