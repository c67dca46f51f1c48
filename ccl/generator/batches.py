"""Batches of training images with their parents, rare scanners drawn more often."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from ccl.distributed import Shard, unsharded
from ccl.generator.generator import to_model
from ccl.generator.images import Images
from ccl.seeding import epoch_rng


class Codes(Protocol):
    """What is known of images: the parents of a causal graph, or the targets of a classifier."""

    def codes(self, source: Any, rows: np.ndarray, /) -> dict[str, Tensor]:
        """Name to tensor (n,), for some rows."""
        ...


@dataclass(frozen=True)
class WeightedBatches:
    """Batches of training images in which rare scanners are drawn more often.

    Attributes:
        source, rows: training images.
        parents: whose codes to return.
        batch_size: images per batch.
        rare_scanner_weight: alpha; a scanner's share of the draws is alpha / K + (1 - alpha) times
            its share of the images, for K scanners. 0 draws images as they come.
        seed: of the draws.
        max_steps: batches per epoch at most; None for as many draws as there are rows.
    """

    source: Images
    parents: Codes
    rows: np.ndarray
    batch_size: int
    rare_scanner_weight: float
    seed: int
    max_steps: int | None = None

    def __len__(self) -> int:
        whole = max(1, len(self.rows) // self.batch_size)
        return whole if self.max_steps is None else min(whole, self.max_steps)

    def epoch(
        self, epoch: int, shard: Shard = unsharded
    ) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """Batches of x (B, 1, H, W) in [-1, 1] and parent codes, each (B,); `shard` as of `fit`."""
        rng = epoch_rng(self.seed, epoch, "generator batches")
        drawn = self._draw(rng)
        for batch in np.array_split(drawn, len(self)):
            rows = shard(batch)
            yield to_model(self.source.images[rows]), self.parents.codes(self.source, rows)

    def _draw(self, rng: np.random.Generator) -> np.ndarray:
        codes = self.source.codes("scanner", self.rows)
        share = np.bincount(codes, minlength=len(self.source.values("scanner"))) / len(codes)
        alpha, scanners = self.rare_scanner_weight, np.count_nonzero(share)
        weight = alpha / share[codes] + (1 - alpha) * scanners
        weight /= weight.sum()
        # Systematic sampling: every image appears its expected number of times, up to rounding.
        count = len(self) * self.batch_size
        marks = (np.arange(count) + rng.random()) / count
        order = rng.permutation(len(self.rows))
        chosen = order[np.searchsorted(np.cumsum(weight[order]), marks).clip(max=len(order) - 1)]
        return self.rows[rng.permutation(chosen)]
