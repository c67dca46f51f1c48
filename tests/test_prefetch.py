"""Reading ahead: the same batches, sooner."""

from contextvars import ContextVar
from threading import Event

import pytest
import torch

from ccl.prefetch import prefetch_pinned, prefetched


def test_the_next_items_are_made_while_one_is_in_use():
    made = [Event() for _ in range(9)]

    def making():
        for number, event in enumerate(made):
            event.set()
            yield number

    assert list(prefetched(iter(range(7)))) == list(range(7))
    stream = prefetched(making())
    assert next(stream) == 0
    assert made[1].wait(600)
    assert made[2].wait(600)
    assert not made[3].wait(0.05)  # no more than that are in memory


def test_what_is_read_ahead_knows_what_the_reader_knows():
    """Such as how many processes work as one, of which each reads its share."""
    known = ContextVar("known", default="nothing")
    known.set("something")
    assert list(prefetched(known.get() for _ in range(3))) == ["something"] * 3


def test_an_error_comes_where_its_item_would_have():
    def failing():
        yield 1
        raise OSError("the disk is gone")

    stream = prefetched(failing())
    assert next(stream) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(stream)


def test_tensors_on_the_way_to_a_gpu_are_pinned(monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.cuda, "device", lambda number: torch.random.fork_rng(devices=[]))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: pinned.append(x.sum()) or x)
    batches = [({"a": torch.ones(2), "b": torch.zeros(2)}, torch.ones(3))]
    ((views, codes),) = prefetch_pinned(batches, torch.device("cuda"))
    assert sorted(map(int, pinned)) == [0, 2, 3]
    assert torch.equal(views["a"], torch.ones(2))
    assert torch.equal(codes, torch.ones(3))
    pinned.clear()
    assert len(list(prefetch_pinned(batches, torch.device("cpu")))) == 1
    assert not pinned
