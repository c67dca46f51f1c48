"""A classifier of real images: the predictor that finetuning asks, and the judges' network."""

from collections.abc import Iterator, Mapping
from typing import Any

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ccl.devices import device_of, mixed_precision
from ccl.encoders.encoder import build_encoder
from ccl.generator.generator import to_model
from ccl.generator.options import ClassifierOptions

AGE = "age"
UNKNOWN = -1  # of a class that a row does not state
_AGE_MEAN, _AGE_SPREAD = 50.0, 20.0  # years; the network learns ages near 0 and 1


class ImageClassifier(lightning.LightningModule):
    """A backbone with a linear layer for each variable that it tells.

    Args:
        sizes: variable to its number of classes; 'age' is one number, in years.
        frame: height and width of the images in pixels.
        options: backbone and training, whose learning rate decays over all `steps`.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        frame: tuple[int, int],
        options: ClassifierOptions,
        steps: int,
    ) -> None:
        super().__init__()
        self.options, self.steps = options, steps
        encoder = build_encoder(options.encoder, frame)
        self.encoder = encoder.to(memory_format=torch.channels_last)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(self.encoder.width, size) for name, size in sizes.items()}
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
        losses = [label_loss(name, y, targets[name]) for name, y in predicted.items()]
        loss = torch.stack(losses).sum()
        self.log("loss", loss, on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def configure_optimizers(self) -> Any:
        """Adam with a cosine decay over all steps."""
        optimizer = torch.optim.Adam(self.parameters(), self.options.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @torch.inference_mode()
    def predict(self, images: np.ndarray, batch_size: int = 256) -> dict[str, np.ndarray]:
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
        """Features of the backbone, float32 (n, width), of images uint8 (n, H, W)."""
        self.eval()
        parts = [self.encoder((x + 1) / 2).cpu().numpy() for x in self._chunks(images, batch_size)]
        return np.concatenate(parts)

    def _chunks(self, images: np.ndarray, size: int) -> Iterator[Tensor]:
        """Batches (size, 1, H, W) of the images, on the classifier's device."""
        for start in range(0, len(images), size):
            yield to_model(images[start : start + size], device_of(self))


def label_loss(variable: str, predicted: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy or, of the age, Huber's loss, over the rows that state the variable.

    Args:
        variable: what is predicted.
        predicted: logits (N, K), or the scaled age (N, 1).
        target: classes (N,), `UNKNOWN` where not stated; ages in years (N,), NaN where not stated.
    """
    # Not by selecting rows, for whose number a GPU's host would have to wait.
    if variable != AGE:
        labelled = target != UNKNOWN
        total = F.cross_entropy(predicted, target, ignore_index=UNKNOWN, reduction="sum")
    else:
        labelled = torch.isfinite(target)
        guess = predicted[:, 0]
        scaled = torch.where(labelled, (target - _AGE_MEAN) / _AGE_SPREAD, guess.detach())
        total = F.huber_loss(guess, scaled, reduction="sum")
    return total / labelled.sum().clamp(min=1)
