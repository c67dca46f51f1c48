"""What every contrastive objective has in common."""

from typing import Protocol

from pydantic import Field

from ccl.objectives.encoder import Encoder, EncoderOptions
from ccl.options import Options


class ObjectiveOptions(Options):
    """Options that every objective has; its own come on top.

    Attributes:
        encoder: the backbone that is pretrained.
        epochs: passes over the training rows.
        batch_size: pairs per step, N.
    """

    encoder: EncoderOptions = EncoderOptions()
    epochs: int = Field(default=50, ge=1)
    batch_size: int = Field(default=256, ge=2)


class Objective(Protocol):
    """A Lightning module that pretrains an encoder on the pairs of any strategy.

    Built as `module(encoder, options, seed=..., steps_per_epoch=...)`; it is fed the batches of
    `ccl.objectives.batches.PairBatches` and never knows the strategy.
    """

    @property
    def pretrained(self) -> Encoder:
        """The encoder to evaluate once training is over."""
