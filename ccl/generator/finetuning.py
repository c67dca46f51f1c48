"""Counterfactual finetuning: teaches a trained generator that its interventions must arrive.

A likelihood rewards reconstructions, and lets latents carry what the parents should. Finetuning
asks a predictor, trained on real images, what it sees in counterfactuals x*, while the free energy
F (nll + beta KL) must not exceed c, what it was before:

    min_theta max_(lambda >= 0)  -log q(do | x*) + lambda (F(theta) - c)

The predictor also says what was *not* intervened on, and that must stay as it sees it in the real
image: such soft labels ask for no more than was there. Hard ones, what the table states, would push
a counterfactual towards a clearer case than the image was.

Source: De Sousa Ribeiro et al. 2023, https://arxiv.org/abs/2306.15764 (Lagrangian); Xia et al.
2024, https://arxiv.org/abs/2403.09422 (soft labels); Platt and Barr 1988 (damping).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ccl.collectives import all_reduce_mean
from ccl.devices import device_of, mixed_precision
from ccl.generator.classifier import AGE, ImageClassifier
from ccl.generator.generator import Generator
from ccl.generator.hvae import HVAE
from ccl.generator.images import Images
from ccl.generator.options import GeneratorOptions, TuningOptions
from ccl.generator.training import HVAETraining, training_batches
from ccl.seeding import seeded
from ccl.trainer import History, fit


class CounterfactualFinetuning(HVAETraining):
    """Minimises the Lagrangian; the multiplier rises while the constraint is violated.

    Args:
        hvae, predictor: trained; the predictor stays as it is.
        options: of the generator, with the finetuning's learning rate.
        tuning: of the Lagrangian.
        constraint: c, nats per pixel.
        total_steps: for the learning rate's decay.
    """

    multiplier: Tensor

    def __init__(
        self,
        hvae: HVAE,
        predictor: ImageClassifier,
        options: GeneratorOptions,
        tuning: TuningOptions,
        constraint: float,
        total_steps: int,
    ) -> None:
        super().__init__(hvae, options, total_steps)
        self.predictor = predictor.requires_grad_(False)
        self.tuning, self.constraint = tuning, constraint
        self.register_buffer("multiplier", torch.zeros(()))

    def on_train_epoch_start(self) -> None:
        """Puts the predictor in evaluation mode: its batch statistics stay."""
        self.predictor.eval()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """-log q(do | x*) + lambda (F - c)."""
        x, codes = batch
        with mixed_precision(x.device.type, self.options.bfloat16):
            elbo = self.hvae.elbo(x, codes)
            miss = self._miss(x, codes)
        violation = elbo.nll + self.options.beta * elbo.kl - self.constraint
        violated = all_reduce_mean(violation.detach())  # by the whole batch, as in every process
        weight = (self.multiplier + self.tuning.damping * violated).clamp(min=0)
        loss: Tensor = miss + weight * violation
        rise = self.tuning.multiplier_rate * violated
        self.multiplier.copy_((self.multiplier + rise).clamp(min=0))
        metrics = {
            "loss": loss, "miss": miss, "violation": violation, "multiplier": self.multiplier
        }  # fmt: skip
        self.log_dict(metrics, on_epoch=True, on_step=False, sync_dist=True)
        return loss

    def _miss(self, x: Tensor, codes: Mapping[str, Tensor]) -> Tensor:
        """Loss of the predictor, which is to see what was intervened on, and all else as before.

        The images of a batch take turns in which variable that is.
        """
        variables = intervened_on(self.tuning, self.hvae.parents)[: len(x)]
        turns = [slice(first, None, len(variables)) for first in range(len(variables))]
        do = {name: codes[name].clone() for name in variables}
        for name, turn in zip(variables, turns, strict=True):
            do[name][turn] = torch.randint_like(do[name][turn], self.hvae.parents[name])
        counterfactual = self.hvae.predict(self.hvae.abduct(x, codes), {**codes, **do})
        predicted, before = self.predictor(counterfactual), self.predictor(x)
        losses = []
        for intervened, turn in zip(variables, turns, strict=True):
            for name in predicted:
                if name == intervened:
                    losses.append(F.cross_entropy(predicted[name][turn], do[name][turn]))
                else:
                    losses.append(soft_loss(name, predicted[name][turn], before[name][turn]))
        return torch.stack(losses).sum() / len(variables)


def intervened_on(tuning: TuningOptions, parents: Mapping[str, int]) -> Sequence[str]:
    """Those of the variables to intervene on that are parents of the image.

    Raises:
        ValueError: none is.
    """
    found = [name for name in tuning.variables if name in parents]
    if not found:
        raise ValueError(
            f"finetuning is to intervene on {[*tuning.variables]}, but the image's parents are "
            f"{[*parents]}; add one to the graph"
        )
    return found


def soft_loss(variable: str, predicted: Tensor, before: Tensor) -> Tensor:
    """KL divergence of logits (N, K) from those before, or Huber's loss of scaled ages (N, 1)."""
    if variable == AGE:
        return F.huber_loss(predicted, before)
    log_p, log_q = F.log_softmax(predicted, dim=1), F.log_softmax(before, dim=1)
    return F.kl_div(log_p, log_q, log_target=True, reduction="batchmean")


def finetune(
    source: Images,
    rows: np.ndarray,
    base: Generator,
    predictor: ImageClassifier,
    options: GeneratorOptions,
    tuning: TuningOptions,
    folder: Path | None = None,
) -> tuple[Generator, History]:
    """A trained generator, finetuned on its counterfactuals of training images.

    Args:
        source, rows, options: what `base` was trained on, and how.
        base: the trained generator; it is changed.
        predictor: trained on real images.
        tuning: how to go on.
        folder: for checkpoints; a killed training resumes from there.

    Returns:
        The finetuned generator, and one row of metrics per epoch.

    Raises:
        ValueError: the graph has none of the variables to intervene on.
    """
    intervened_on(tuning, base.hvae.parents)
    changed = options.model_copy(update={"learning_rate": tuning.learning_rate})
    batches = training_batches(source, rows, base.parents, changed)
    steps = len(batches) * tuning.epochs
    constraint = free_energy(base.hvae, batches.epoch(0), options) + tuning.slack
    hvae = base.hvae.train().requires_grad_(True)
    module = CounterfactualFinetuning(hvae, predictor, changed, tuning, constraint, steps)
    history = fit(module, batches, epochs=tuning.epochs, folder=folder, seed=options.seed)
    return Generator(base.parents, module.averaged(batches)), history


@torch.no_grad()
def free_energy(hvae: HVAE, batches: Any, options: GeneratorOptions) -> float:
    """Mean nll + beta KL of some batches, nats per pixel, with drawn latents as in training."""
    hvae.train()
    values, device = [], device_of(hvae)
    with seeded(options.seed, device):
        for x, codes in batches:
            there = {name: code.to(device) for name, code in codes.items()}
            elbo = hvae.elbo(x.to(device), there)
            values.append(float(elbo.nll + options.beta * elbo.kl))
    hvae.eval()
    return float(np.mean(values))
