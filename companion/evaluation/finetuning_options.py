"""How encoders are finetuned."""

from typing import Literal, Self

from pydantic import Field, model_validator

from ccl.views.augment import AugmentOptions, Probability, Range
from companion.evaluation.results import EvaluationOptions


class FinetuningAugmentOptions(AugmentOptions):
    """Views of labelled images: milder than in pretraining, so that the finding stays in sight."""

    crop_scale: Range = (0.6, 0.99)
    erase_probability: Probability = 0.0


class FinetuningOptions(EvaluationOptions):
    """How encoder and head are trained and tested.

    Attributes:
        seeds: of the labelled subset, the head's initial weights, order and augmentation.
        epochs: at most; early stopping usually ends before.
        patience: epochs without a better validation AUC after which training stops.
        batch_size: images per step; all labelled images where there are fewer.
        min_steps: an epoch has at least as many steps: few labelled images are gone through
            several times, each time in another order and augmented anew.
        max_steps: an epoch has at most as many steps, each with other images of a subset that is
            larger, so that validation comes in time; None for a whole pass.
        optimizer: 'adamw' decays weights apart from the gradient; 'adam' (the released code's)
            adds the decay to it.
        learning_rate: of encoder and head, constant.
        weight_decay: of encoder and head.
        precision: of the training steps; validation and test are always computed in float32.
        augment: how training images are varied; validation and test images never are.
    """

    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    epochs: int = Field(default=30, ge=1)
    patience: int = Field(default=6, ge=1)
    batch_size: int = Field(default=64, ge=2)
    min_steps: int = Field(default=8, ge=1)
    max_steps: int | None = Field(default=None, ge=1)
    optimizer: Literal["adamw", "adam"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    augment: FinetuningAugmentOptions = FinetuningAugmentOptions()

    @model_validator(mode="after")
    def _steps_make_sense(self) -> Self:
        if self.max_steps is not None and self.max_steps < self.min_steps:
            raise ValueError(f"max_steps = {self.max_steps} is below min_steps = {self.min_steps}")
        return self
