"""What shows that self-distillation collapses, and the guard that then stops it."""

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor

from ccl.errors import TrainingError
from ccl.options import Options


class CollapseOptions(Options):
    """When a training counts as collapsed; compared with an epoch's means.

    Attributes:
        grace_epochs: epochs that are not judged; early on, any run looks collapsed.
        largest_loss: of the DINO loss / ln K; 1 is a student that tells no prototype apart.
        least_spread: of `embedding_std` of the teacher's class tokens; 0 is one point.
        least_prototype_entropy: of the mean target's entropy / ln K; 0 is one prototype for all.
    """

    grace_epochs: int = Field(default=10, ge=0)
    largest_loss: float = Field(default=0.99, gt=0)
    least_spread: float = Field(default=0.1, ge=0)
    least_prototype_entropy: float = Field(default=0.1, ge=0)


@torch.no_grad()
def distillation_statistics(targets: Tensor, loss: Tensor) -> dict[str, Tensor]:
    """Statistics of the teacher's targets for class tokens.

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
        "prototype_entropy": torch.special.entr(targets.mean(0)).sum() / chance,
        "kl": loss - entropy,
    }


def stop_if_collapsed(metrics: Mapping[str, Tensor], epoch: int, options: CollapseOptions) -> None:
    """Judges an epoch, from 0, by its means of the statistics.

    Raises:
        TrainingError: the run has collapsed; says by which sign, and what to do.
    """
    if epoch < options.grace_epochs:
        return
    loss, spread, entropy = (
        float(metrics[name]) for name in ("loss_over_chance", "embedding_std", "prototype_entropy")
    )
    if spread < options.least_spread:
        found = f"all images have nearly the same features (embedding_std = {spread:.3g})"
        remedy = "raise koleo_weight or teacher_momentum, or use centering 'sinkhorn'"
    elif entropy < options.least_prototype_entropy:
        found = f"all images are assigned to the same prototype (entropy {entropy:.3g} of ln K)"
        remedy = "use centering 'sinkhorn', or raise teacher_momentum or teacher_temperature"
    elif loss > options.largest_loss:
        found = f"the student tells no prototype apart (loss {loss:.4g} of ln K)"
        remedy = "lower teacher_temperature, lengthen its warm-up, or raise learning_rate"
    else:
        return
    raise TrainingError(
        f"the representation has collapsed in epoch {epoch}: {found}. Its history would be "
        f"worthless, so training stops; {remedy}. collapse.grace_epochs = {options.grace_epochs} "
        "gives a slow start more time."
    )
