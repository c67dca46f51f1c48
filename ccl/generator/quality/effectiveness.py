"""Effectiveness: does a classifier of real scanners see the scanner that was intervened on?

Source: Monteiro et al. 2023, https://arxiv.org/abs/2303.01274; Roschewitz et al. 2025, Fig. 2.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ccl.cohorts import Cohort
from ccl.evaluation.statistics import bootstrap_mean_interval
from ccl.generator.batches import WeightedBatches
from ccl.generator.generator import to_model
from ccl.generator.graph import ImageParents
from ccl.objectives.encoder import EncoderOptions, build_encoder
from ccl.options import Options
from ccl.training import fit


class ScannerClassifierOptions(Options):
    """How the scanner classifier is trained, on real training images only.

    Attributes:
        encoder: its backbone.
        epochs, batch_size, learning_rate: of Adam, with a cosine decay.
        seed: of weights and batches; another than the generator's and the encoders'.
    """

    encoder: EncoderOptions = EncoderOptions()
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 1e-3
    seed: int = 4321


class ScannerClassifier(lightning.LightningModule):
    """Backbone and linear layer, trained with cross-entropy on scanner codes."""

    def __init__(
        self, n_scanners: int, frame: tuple[int, int], options: ScannerClassifierOptions, steps: int
    ) -> None:
        super().__init__()
        self.options, self.steps = options, steps
        self.encoder = build_encoder(options.encoder, frame)
        self.head = nn.Linear(self.encoder.width, n_scanners)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) of images x (N, 1, H, W) in [-1, 1]."""
        logits: Tensor = self.head(self.encoder((x + 1) / 2))
        return logits

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Cross-entropy of the scanner."""
        x, parents = batch
        loss = F.cross_entropy(self(x), parents["scanner"])
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> Any:
        """Adam with a cosine decay over all steps."""
        optimizer = torch.optim.Adam(self.parameters(), self.options.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @torch.inference_mode()
    def seen_as(self, images: np.ndarray, batch_size: int = 256) -> np.ndarray:
        """Most probable scanner code, int64 (n,), of images uint8 (n, H, W)."""
        self.eval()
        parts = [images[i : i + batch_size] for i in range(0, len(images), batch_size)]
        return np.concatenate([self(to_model(part)).argmax(dim=1).numpy() for part in parts])


def train_classifier(
    cohort: Cohort, options: ScannerClassifierOptions, folder: Path
) -> ScannerClassifier:
    """Trains on the real training images, every scanner drawn equally often."""
    torch.manual_seed(options.seed)
    scanners = ImageParents({"scanner": cohort.scanners})
    rows = cohort.rows("train", "pretraining")
    batches = WeightedBatches(cohort, scanners, rows, options.batch_size, 1.0, options.seed)
    height, width = cohort.images.shape[1:]
    steps = len(batches) * options.epochs
    classifier = ScannerClassifier(len(cohort.scanners), (height, width), options, steps)
    fit(classifier, batches, epochs=options.epochs, folder=folder, seed=options.seed)
    return classifier.cpu()


def effectiveness(
    cohort: Cohort,
    rows: np.ndarray,
    classifier: ScannerClassifier,
    counterfactuals: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """Share of images that are seen as the scanner that they should be from.

    Args:
        cohort: real images.
        rows: (n,) test rows of pretraining scanners.
        classifier: trained on real training images.
        counterfactuals: name to uint8 (n, K, H, W), slot k = do(scanner = k). Own-scanner slots do
            not count: they are no intervention.

    Returns:
        Rows with `images` = 'real' (the ceiling) and each of the names, per target and pooled
        ('all': the mean over targets, each counted alike).
    """
    own = cohort.codes("scanner", rows)
    patients = cohort.table["patient_id"].to_numpy()[rows]
    seen = classifier.seen_as(cohort.images[rows])
    found = [_rows("real", cohort, own, seen == own, patients)]
    for name, images in counterfactuals.items():
        hits, targets, owners = [], [], []
        for k in range(len(cohort.scanners)):
            foreign = own != k
            hits.append(classifier.seen_as(images[foreign, k]) == k)
            targets.append(np.full(foreign.sum(), k))
            owners.append(patients[foreign])
        found.append(
            _rows(name, cohort, *(np.concatenate(part) for part in (targets, hits, owners)))
        )
    return pd.DataFrame([row for rows_ in found for row in rows_])


def _rows(
    images: str, cohort: Cohort, target: np.ndarray, hit: np.ndarray, patients: np.ndarray
) -> list[dict[str, Any]]:
    result = []
    weight = 1 / np.bincount(target, minlength=len(cohort.scanners))[target]
    for k, name in [*enumerate(cohort.scanners), (-1, "all")]:
        mine = (target == k) | (k < 0)
        value, low, high = bootstrap_mean_interval(
            hit[mine].astype(float), patients[mine], weights=weight[mine]
        )
        result.append(
            {"measure": "effectiveness", "images": images, "source": "all", "target": name}
            | {"value": value, "ci_low": low, "ci_high": high, "n": int(mine.sum())}
        )
    return result
