"""Images from disk to where they are computed with, read while the step before is computed.

A thread reads one batch after the other, in their order, so that nothing depends on it. On their
way to a GPU batches lie in pinned memory, from which they are copied while the host goes on.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Item = TypeVar("Item")
AHEAD = 2  # batches in memory besides the one in use
_END: Any = object()


def prefetched(items: Iterator[Item]) -> Iterator[Item]:
    """The items of an iterator in their order, `AHEAD` of them read ahead.

    What the iterator raises is raised where its item would have been.
    """
    context = copy_context()  # the thread is to know that other processes work along

    def read_one() -> Item:
        return context.run(next, items, _END)

    with ThreadPoolExecutor(max_workers=1) as reader:
        waiting = deque(reader.submit(read_one) for _ in range(AHEAD))
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(reader.submit(read_one))
            yield item


def prefetch_pinned(batches: Iterable[Item], device: torch.device) -> Iterator[Item]:
    """Batches, prefetched, whose tensors can be copied to a device while the host goes on.

    A batch is a tensor, or a dictionary or tuple of such. To a CPU there is no way.
    """
    if device.type != "cuda":
        return prefetched(iter(batches))
    number = torch.cuda.current_device()  # a thread of its own would start with the first GPU

    def pinned(tensor: Tensor) -> Tensor:
        with torch.cuda.device(number):
            return tensor.pin_memory()

    return prefetched(map_tensors(pinned, batch) for batch in batches)


def map_tensors(change: Callable[[Tensor], Tensor], batch: Any) -> Any:
    """A batch in which every tensor is changed: it, or all in a dictionary or tuple."""
    if isinstance(batch, dict):
        return {name: map_tensors(change, part) for name, part in batch.items()}
    if isinstance(batch, tuple):
        return tuple(map_tensors(change, part) for part in batch)
    return change(batch)


def pixels(
    images: np.ndarray, parts: Iterable[np.ndarray], device: torch.device
) -> Iterator[Tensor]:
    """Of images uint8 (N, H, W), perhaps memory-mapped, those of each part's rows, on a device."""
    stored = (torch.from_numpy(images[rows]) for rows in parts)
    for chunk in prefetch_pinned(stored, device):
        yield chunk.to(device, non_blocking=True)
