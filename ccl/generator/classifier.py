"""Classifiers of real images: judges of counterfactuals, and the predictor of their finetuning."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ccl.devices import device_of, fastest_device, mixed_precision
from ccl.encoders.encoder import build_encoder
from ccl.generator.batches import WeightedBatches
from ccl.generator.generator import to_model
from ccl.generator.options import ClassifierOptions
from ccl.trainer import fit
from companion.cohorts.cohort import Cohort

AGE = "age"
UNKNOWN = -1  # of a class that a row does not state
_AGE_MEAN, _AGE_SPREAD = 50.0, 20.0  # years; the network learns ages near 0 and 1


@dataclass(frozen=True)
class Targets:
    """What a judge has to tell, from a cohort's table.

    Attributes:
        sizes: variable to its number of classes; 'age' is one number, in years.
    """

    sizes: Mapping[str, int]

    def codes(self, cohort: Cohort, rows: np.ndarray) -> dict[str, Tensor]:
        """Per variable the classes int64 (n,), `UNKNOWN` where not stated; ages float32 (n,)."""
        return {name: torch.from_numpy(_stated(cohort, name, rows)) for name in self.sizes}


def scanner_target(cohort: Cohort) -> Targets:
    """The scanner alone."""
    return Targets({"scanner": len(cohort.scanners)})


def attribute_targets(cohort: Cohort) -> Targets:
    """What do(scanner) must leave alone: sex, finding and age, as far as the cohort knows them."""
    rows = cohort.rows("train", "pretraining")
    sizes = {"sex": len(cohort.values("sex")), "finding": len(cohort.classes)}
    known = {name: _stated(cohort, name, rows) for name in sizes}
    kept = {n: k for n, k in sizes.items() if len(set(known[n].tolist()) - {UNKNOWN}) == k}
    ages = _stated(cohort, AGE, rows)
    return Targets(kept | ({AGE: 1} if np.isfinite(ages).mean() > 0.5 else {}))


def _stated(cohort: Cohort, variable: str, rows: np.ndarray) -> np.ndarray:
    if variable == AGE:
        return cohort.table["age"].to_numpy(dtype=np.float32)[rows]
    if variable == "finding":
        return cohort.table["label"].to_numpy(dtype=np.int64)[rows]
    stated = cohort.table[variable].iloc[rows]
    code = {value: k for k, value in enumerate(cohort.values(variable))}
    return np.array([code.get(value, UNKNOWN) for value in stated], dtype=np.int64)


class ImageClassifier(lightning.LightningModule):
    """A backbone with a linear layer for each variable that it tells.

    Args:
        targets: the variables.
        frame: height and width of the images in pixels.
        options: backbone and training.
        steps: of the whole training, for the learning rate's decay.
    """

    def __init__(
        self, targets: Targets, frame: tuple[int, int], options: ClassifierOptions, steps: int
    ) -> None:
        super().__init__()
        self.options, self.steps = options, steps
        encoder = build_encoder(options.encoder, frame)
        self.encoder = encoder.to(memory_format=torch.channels_last)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(self.encoder.width, size) for name, size in targets.sizes.items()}
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Per variable logits (N, K), or the scaled age (N, 1), of x (N, 1, H, W) in [-1, 1]."""
        features = self.encoder((x + 1) / 2)
        return {name: head(features) for name, head in self.heads.items()}

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Sum over the variables of cross-entropy or, for the age, of Huber's loss."""
        x, targets = batch
        with mixed_precision(x.device.type, True):
            predicted = {name: y.float() for name, y in self(x).items()}
        losses = [stated_loss(name, y, targets[name]) for name, y in predicted.items()]
        loss = torch.stack(losses).sum()
        self.log("loss", loss, on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def configure_optimizers(self) -> Any:
        """Adam with a cosine decay over all steps."""
        optimizer = torch.optim.Adam(self.parameters(), self.options.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @torch.inference_mode()
    def seen(self, images: np.ndarray, batch_size: int = 256) -> dict[str, np.ndarray]:
        """Most probable class, int64 (n,), or age in years, (n,), of images uint8 (n, H, W)."""
        self.eval()
        parts = [self(x) for x in self._chunks(images, batch_size)]
        joined = {name: torch.cat([part[name] for part in parts]) for name in self.heads}
        answers = {
            name: y[:, 0] * _AGE_SPREAD + _AGE_MEAN if name == AGE else y.argmax(dim=1)
            for name, y in joined.items()
        }
        return {name: answer.cpu().numpy() for name, answer in answers.items()}

    @torch.inference_mode()
    def features(self, images: np.ndarray, batch_size: int = 256) -> np.ndarray:
        """What the backbone makes of images uint8 (n, H, W): float32 (n, width)."""
        self.eval()
        parts = [self.encoder((x + 1) / 2).cpu().numpy() for x in self._chunks(images, batch_size)]
        return np.concatenate(parts)

    def _chunks(self, images: np.ndarray, size: int) -> Iterator[Tensor]:
        """At most so many images at a time, (size, 1, H, W), where the classifier is."""
        for start in range(0, len(images), size):
            yield to_model(images[start : start + size], device_of(self))


def train_classifier(
    cohort: Cohort, targets: Targets, options: ClassifierOptions, folder: Path
) -> ImageClassifier:
    """Trains on the real training images, every scanner drawn equally often.

    Args:
        cohort: gives the images.
        targets: what to tell.
        options: how.
        folder: for checkpoints; a killed training goes on from there.

    Returns:
        The classifier on the fastest device.
    """
    torch.manual_seed(options.seed)
    rows = cohort.rows("train", "pretraining")
    batches = WeightedBatches(cohort, targets, rows, options.batch_size, 1.0, options.seed)
    height, width = cohort.images.shape[1:]
    steps = len(batches) * options.epochs
    classifier = ImageClassifier(targets, (height, width), options, steps)
    fit(classifier, batches, epochs=options.epochs, folder=folder, seed=options.seed)
    return classifier.to(fastest_device())


def stated_loss(variable: str, predicted: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy or, of the age, Huber's loss, over the rows that state the variable.

    Args:
        variable: which one.
        predicted: logits (N, K), or the scaled age (N, 1).
        target: as `Targets.codes` gives it, (N,).
    """
    # Not by selecting rows, for whose number a GPU's host would have to wait.
    if variable != AGE:
        known = target != UNKNOWN
        summed = F.cross_entropy(predicted, target, ignore_index=UNKNOWN, reduction="sum")
    else:
        known = torch.isfinite(target)
        guess = predicted[:, 0]
        scaled = torch.where(known, (target - _AGE_MEAN) / _AGE_SPREAD, guess.detach())
        summed = F.huber_loss(guess, scaled, reduction="sum")
    return summed / known.sum().clamp(min=1)
