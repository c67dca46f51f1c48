"""What shows that self-distillation collapses, and the guard that then stops it."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ccl.collectives import all_reduce_mean
from ccl.errors import TrainingError
from ccl.objectives.dino_options import CollapseOptions


class Sign(NamedTuple):
    """By what a collapse shows: its name, what was measured, and what to change."""

    name: str
    found: str
    remedy: str


@torch.no_grad()
def distillation_statistics(targets: Tensor, loss: Tensor) -> dict[str, Tensor]:
    """Statistics of the teacher's targets for class tokens.

    The mean target is that of all processes that train as one.

    Args:
        targets: (n, K); each row sums to 1.
        loss: the DINO loss of the same targets.

    Returns:
        Scalars:
        - `loss_over_chance`: loss / ln K.
        - `teacher_entropy`: mean entropy of the targets / ln K; 1 is flat, 0 is one-hot.
        - `prototype_entropy`: entropy of the mean target / ln K; 0 when all images are assigned
          to one prototype. Alike with `teacher_entropy`, the targets say nothing of the image.
        - `kl`: mean KL divergence of the student from the teacher in nats, the loss less the
          targets' entropy.
    """
    chance = math.log(targets.shape[1])
    entropy = torch.special.entr(targets).sum(1).mean()
    return {
        "loss_over_chance": loss / chance,
        "teacher_entropy": entropy / chance,
        "prototype_entropy": torch.special.entr(all_reduce_mean(targets.mean(0))).sum() / chance,
        "kl": loss - entropy,
    }


def sign_of_collapse(metrics: Mapping[str, float], options: CollapseOptions) -> Sign | None:
    """The sign that an epoch shows, or None for a healthy one.

    Args:
        metrics: the epoch's means of `embedding_std`, `prototype_entropy` and `loss_over_chance`.
        options: the limits.
    """
    names = ("embedding_std", "prototype_entropy", "loss_over_chance")
    spread, entropy, loss = (float(metrics[name]) for name in names)
    if spread < options.least_spread:
        return Sign(
            "one point",
            f"all images have nearly the same features (embedding_std = {spread:.3g})",
            "raise koleo_weight or teacher_momentum, or use centering 'sinkhorn'",
        )
    if entropy < options.least_prototype_entropy:
        return Sign(
            "one prototype",
            f"all images are assigned to the same prototype (entropy {entropy:.3g} of ln K)",
            "use centering 'sinkhorn', or raise teacher_momentum or teacher_temperature",
        )
    if loss > options.largest_loss:
        return Sign(
            "near ln K",
            f"the student tells no prototype apart (loss {loss:.4g} of ln K)",
            "lower teacher_temperature, lengthen its warm-up, or raise learning_rate",
        )
    return None


def stop_if_collapsed(
    metrics: Mapping[str, Any], epoch: int, epochs: int, options: CollapseOptions
) -> None:
    """Checks the mean statistics of an epoch, counted from 0, of so many epochs.

    Raises:
        TrainingError: the run has collapsed; says by which sign, and what to do.
    """
    sign = sign_of_collapse(metrics, options)
    if sign is not None and epoch >= math.floor(options.grace * epochs):
        raise TrainingError(
            f"the representation has collapsed in epoch {epoch}: {sign.found}. Training stops; "
            f"{sign.remedy}. A collapse.grace above {options.grace:g} gives a slow start more time."
        )
