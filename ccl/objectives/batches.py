"""The stream of training batches: pairs of source images, read from disk row by row."""

from collections.abc import Iterator

import numpy as np
import torch

from ccl.distributed import Shard, unsharded
from ccl.pairs import Pairs
from ccl.seeding import epoch_rng
from ccl.views.batch import Batch


class PairBatches:
    """Batches of pair sources, in an order that depends on seed and epoch only.

    Each epoch visits every row at most once, in a new order, and drops the rows that do not fill
    a batch. Strategies of one seed visit the rows in the same order. Reading uint8 rows of a
    memory map costs so little that no worker processes are needed: `ccl.prefetch` reads ahead.
    """

    def __init__(
        self,
        pairs: Pairs,
        rows: np.ndarray,
        *,
        batch_size: int,
        seed: int,
        max_steps: int | None = None,
    ) -> None:
        """Batches over some rows of a cohort.

        Args:
            pairs, rows: int64 (n,) rows to train on, and where the sources of a pair come from.
            batch_size: pairs per batch, N, over all processes.
            seed: of order and target domains.
            max_steps: batches per epoch at most, the first of its order; None for all.

        Raises:
            ValueError: fewer rows than one batch.
        """
        if not 2 <= batch_size <= len(rows):
            raise ValueError(
                f"batch_size = {batch_size} must be at least 2 and at most the {len(rows)} rows "
                "to train on"
            )
        self.pairs, self.rows = pairs, np.asarray(rows)
        self.batch_size, self.seed, self.max_steps = batch_size, seed, max_steps

    def __len__(self) -> int:
        whole = len(self.rows) // self.batch_size
        return whole if self.max_steps is None else min(whole, self.max_steps)

    def epoch(self, epoch: int, shard: Shard = unsharded) -> Iterator[Batch]:
        """Yields {'a': uint8 (N, H, W), 'b': uint8 (N, H, W)}, the sources of both views.

        Order and target domains are drawn for the whole batch, of which the `shard` is read.
        """
        rng = epoch_rng(self.seed, epoch, "pairs")
        order = rng.permutation(self.rows)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            a, b = self.pairs.sources(order[start : start + self.batch_size], rng, shard)
            yield {"a": torch.from_numpy(a), "b": torch.from_numpy(b)}
