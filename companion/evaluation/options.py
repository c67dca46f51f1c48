"""How encoders are probed and finetuned; apart from it, since options are read where none is."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ccl.options import Options
from ccl.views.options import AugmentOptions, Probability, Range


def distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuses what would be measured, and counted, twice."""
    if len(set(values)) < len(values):
        raise ValueError(f"{values} names something twice")
    return values


Fraction = Annotated[float, Field(gt=0, le=1)]
Fractions = Annotated[tuple[Fraction, ...], Field(min_length=1), AfterValidator(distinct)]
Seeds = Annotated[tuple[int, ...], Field(min_length=1), AfterValidator(distinct)]


class LabelOptions(Options):
    """How many labels classifiers learn from; linear probes and finetuning share it.

    Attributes:
        fractions: shares of the training patients whose labels are used.
        min_per_class: labelled images of every class that a fraction must leave; a fraction that
            leaves fewer is skipped, and logged.
        seeds: of the labelled subset. At fraction 1 there is only one subset, so only the first
            seed is used: repeating it would count one measurement several times.
    """

    fractions: Fractions = (0.01, 0.05, 0.1, 0.25, 1.0)
    min_per_class: int = Field(default=10, ge=1)
    seeds: Seeds = (0, 1, 2)


class EvaluationOptions(LabelOptions):
    """From which labels classifiers learn, and how they are tested.

    Attributes:
        n_bootstrap: replicates of the patient-level bootstrap.
        min_test_per_class: test images of every class that a domain needs; a domain with fewer
            gives no figure, and is logged.
        min_subgroup_per_class: the same for a subgroup of a domain; it is left out silently, and
            `companion.evaluation.subgroups.overview` says so.
    """

    n_bootstrap: int = Field(default=1000, ge=1)
    min_test_per_class: int = Field(default=5, ge=1)
    min_subgroup_per_class: int = Field(default=10, ge=1)


class ProbingOptions(EvaluationOptions):
    """How probes are trained and tested.

    Attributes:
        c_grid: inverse strengths of the L2 penalty to choose from, on the validation split.
    """

    c_grid: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(1e-4, 1e-3, 1e-2, 1e-1, 1.0), min_length=1
    )


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

    seeds: Seeds = (0,)
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


class ConvergenceOptions(Options):
    """How a pretraining is watched.

    Attributes:
        every: epochs between two probes; the last epoch has one as well. 0 for none.
        fractions: shares of the training patients whose labels a probe learns from.
        margin: of the ROC-AUC. A run has converged if its mean over scanners and shares stays
            within it over the last quarter of the epochs.
        most: training and validation images that are looked at, at most.
    """

    every: int = Field(default=4, ge=0)
    fractions: Fractions = (0.05, 1.0)
    margin: float = Field(default=0.02, gt=0)
    most: int = Field(default=4000, ge=1)
