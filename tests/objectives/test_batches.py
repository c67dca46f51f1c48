from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ccl.objectives.batches import PairBatches
from ccl.pairs import Pairs


@pytest.fixture
def images():
    return np.arange(50, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)


def stream(images, seed=0, batch_size=8, max_steps=None):
    real, rows = Pairs("standard", images), np.arange(5, 50)
    return PairBatches(real, rows, batch_size=batch_size, seed=seed, max_steps=max_steps)


def order(batches, epoch):
    return np.concatenate([batch["a"][:, 0, 0].numpy() for batch in batches.epoch(epoch)])


def test_an_epoch_visits_rows_once_in_whole_batches(images):
    batches = stream(images)
    visited = order(batches, 0)
    assert len(batches) == len(list(batches.epoch(0))) == 5
    assert len(visited) == len(np.unique(visited)) == 40
    assert visited.min() >= 5


def test_order_depends_on_seed_and_epoch_only(images):
    np.testing.assert_array_equal(order(stream(images), 3), order(stream(images), 3))
    assert (order(stream(images), 3) != order(stream(images), 4)).any()
    assert (order(stream(images), 3) != order(stream(images, seed=1), 3)).any()


def test_an_epoch_can_be_cut_short(images):
    whole, short = stream(images), stream(images, max_steps=2)
    assert len(short) == len(list(short.epoch(1))) == 2
    np.testing.assert_array_equal(order(short, 1), order(whole, 1)[:16])
    assert len(stream(images, max_steps=99)) == len(whole)


@pytest.mark.parametrize("strategy", ["standard", "plus", "counterfactual"])
def test_a_share_is_that_of_the_whole_batch_and_nothing_else_is_read(strategy):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50, 4, 4), dtype=np.uint8)
    bank = SimpleNamespace(
        images=rng.integers(0, 256, (50, 3, 4, 4), dtype=np.uint8), position=np.arange(50)
    )
    asked = []

    class Counted(np.ndarray):
        def __getitem__(self, index):
            asked.append(len(index[0] if isinstance(index, tuple) else index))
            return self.view(np.ndarray)[index]

    made = SimpleNamespace(images=bank.images.view(Counted), position=bank.position)
    counted = Pairs(strategy, images.view(Counted), made)
    batches = PairBatches(counted, np.arange(50), batch_size=8, seed=0)
    expected = list(batches.epoch(1))
    asked.clear()
    for part in (slice(0, 4), slice(4, 8)):
        for mine, batch in zip(batches.epoch(1, lambda rows: rows[part]), expected, strict=True):  # noqa: B023
            for view in "ab":
                assert torch.equal(mine[view], batch[view][part])
    assert set(asked) == {4}


@pytest.mark.parametrize("batch_size", [1, 46])
def test_batch_size_must_fit(images, batch_size):
    with pytest.raises(ValueError, match=f"batch_size = {batch_size}"):
        stream(images, batch_size=batch_size)
