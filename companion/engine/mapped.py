"""Reading from arrays that lie in memory-mapped files.

Rows in random order are asked for before they are read: the system then fetches them at once and
alone, instead of one after another with what lies beside them. Pages that were read belong to the
file and not to the process, and the system takes them back when it needs them. Until then they
count as the process's memory, which schedulers limit: a pass over a large cohort would be ended for
memory that it does not need. So they are let go of; whoever reads on gets them from the system's
cache.

`os.pread` would read one row after the other, and a plain memory map with advice for all of it
either fetches neighbours or keeps what was read, so this advises row by row.

Reading past the end of a file that became shorter would end the process without a word, so its size
is looked at before.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from companion.engine.storage import damaged


def read(array: np.ndarray, index: Any) -> np.ndarray:
    """A copy of a part of an array, in memory that the process owns.

    Args:
        array: of any shape and type; need not be a memory map.
        index: as NumPy takes it: row numbers, a slice, a tuple of such.

    Raises:
        DamagedFileError: the file became shorter since it was opened.
    """
    if isinstance(array, MappedArray):
        array = array.view(np.memmap)
    _require_full_length(array)
    file = _memory_map(array)
    if file is not None:
        _prefetch(file, array, index if isinstance(index, tuple) else (index,))
    part = array[index]
    part = part.copy() if np.may_share_memory(part, array) else part
    if file is not None:
        file.madvise(mmap.MADV_DONTNEED)
    return part


def _require_full_length(array: np.ndarray) -> None:
    file = Path(getattr(array, "filename", None) or "")
    # A file that was deleted is kept by its map.
    if file.is_file() and file.stat().st_size < array.offset + array.nbytes:  # type: ignore[attr-defined]
        raise damaged(file, "it became shorter while it was read")


def _memory_map(array: np.ndarray) -> mmap.mmap | None:
    """The map of a file that an array lies in, if it is read-only and the system takes advice."""
    base = array.base
    while isinstance(base, np.ndarray):
        base = base.base
    advised = isinstance(base, mmap.mmap) and hasattr(base, "madvise")
    return base if advised and not array.flags.writeable else None


def _prefetch(file: mmap.mmap, array: np.ndarray, index: tuple[Any, ...]) -> None:
    """Lets the system fetch what an index of row numbers picks; slices it fetches well unasked."""
    numbers = all(isinstance(part, np.ndarray) and part.dtype.kind == "i" for part in index)
    if not numbers or not array.flags.c_contiguous:
        return
    start = array.ctypes.data - np.frombuffer(file, np.uint8).ctypes.data
    axes = zip(index, array.shape, array.strides, strict=False)
    places = start + sum(part % size * stride for part, size, stride in axes)
    for place in np.ravel(places).tolist():
        page = place // mmap.PAGESIZE * mmap.PAGESIZE
        file.madvise(mmap.MADV_WILLNEED, page, place + array.strides[len(index) - 1] - page)


def read_blocks(array: np.ndarray, size: int = 2**22) -> Iterator[np.ndarray]:
    """An array in consecutive parts of at most so many bytes, each `read`."""
    step = max(1, size // max(1, array[:1].nbytes))
    return (read(array, slice(start, start + step)) for start in range(0, len(array), step))


class MappedArray(np.memmap):
    """An array in a memory-mapped file of which every part that is asked for is `read`: a copy."""

    def __getitem__(self, index: Any) -> Any:
        return read(self, index)
