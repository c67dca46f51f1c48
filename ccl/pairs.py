"""The paper's idea in one place: where the two views of a positive pair come from."""

from typing import Literal, NamedTuple, Protocol

import numpy as np

from ccl.distributed import Shard, unsharded

Strategy = Literal["standard", "plus", "counterfactual"]
STRATEGIES: tuple[Strategy, ...] = ("standard", "plus", "counterfactual")


class CounterfactualBank(Protocol):
    """What pairing needs of a bank; `Bank` holds it in memory."""

    @property
    def images(self) -> np.ndarray:
        """uint8 (M, K, H, W), entry m under do(variable = value k); own value = real image."""

    @property
    def position(self) -> np.ndarray:
        """int64 (N,), entry of each cohort row, -1 where the bank has none."""


class Bank(NamedTuple):
    """Counterfactuals in memory; the attributes are those of `CounterfactualBank`."""

    images: np.ndarray
    position: np.ndarray


class Pairs:
    """Source images of positive pairs under one strategy.

    Every view is later cut from its source by random augmentation.

    - `standard` (SimCLR): both views from the real image.
    - `plus` (SimCLR+): both views from one image, drawn uniformly from the real one and its
      counterfactuals; the generator's images are further training images, never partners.
    - `counterfactual` (CF-SimCLR): one view from the real image, the other from the image under
      do(domain = k), k uniform over all domains. Its own domain drawn, it is the real image.

    With a bank of true counterfactuals, `counterfactual` is the oracle.

    Source:
        Roschewitz et al., Robust image representations with counterfactual contrastive
        learning, Medical Image Analysis 2025, https://arxiv.org/abs/2409.10365
    """

    def __init__(
        self, strategy: Strategy, images: np.ndarray, bank: CounterfactualBank | None = None
    ) -> None:
        """Pairs over a cohort's images.

        Args:
            strategy: how partners are made.
            images: uint8 (N, H, W), the cohort's.
            bank: counterfactuals of its rows; `standard` needs none.

        Raises:
            ValueError: unknown strategy, bank missing, or bank of another cohort or frame.
        """
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy '{strategy}' is unknown; it is one of {STRATEGIES}")
        if strategy != "standard":
            if bank is None:
                raise ValueError(f"strategy '{strategy}' needs a counterfactual bank; none given")
            if len(bank.position) != len(images) or bank.images.shape[2:] != images.shape[1:]:
                raise ValueError(
                    f"the bank (for {len(bank.position)} rows, images {bank.images.shape[2:]}) "
                    f"does not fit the cohort's images {images.shape}; make it again"
                )
        self.strategy, self.images, self.bank = strategy, images, bank

    def sources(
        self, rows: np.ndarray, rng: np.random.Generator, shard: Shard = unsharded
    ) -> tuple[np.ndarray, np.ndarray]:
        """The images that the first and the second view of each pair are cut from.

        Args:
            rows: int64 (n,) cohort rows.
            rng: draws the target domains, of all rows.
            shard: of the rows, which are read.

        Returns:
            Two uint8 (n, H, W); the same array twice where both views share their source.

        Raises:
            LookupError: a row has no entry in the bank.
        """
        if self.strategy == "standard":
            real = self.images[shard(rows)]
            return real, real
        drawn = self._uniform_domain(rows, rng, shard)
        if self.strategy == "plus":
            return drawn, drawn
        return self.images[shard(rows)], drawn

    def _uniform_domain(
        self, rows: np.ndarray, rng: np.random.Generator, shard: Shard
    ) -> np.ndarray:
        """Each row's image under a domain drawn uniformly over all, its own included."""
        assert self.bank is not None
        entry = self.bank.position[rows]
        if (entry < 0).any():
            raise LookupError(
                f"cohort row {rows[int(np.argmax(entry < 0))]} has no entry in the counterfactual "
                "bank; make the bank for all rows that are paired"
            )
        domain = rng.integers(self.bank.images.shape[1], size=len(rows))
        return self.bank.images[shard(entry), shard(domain)]
