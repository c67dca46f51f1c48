"""Full finetuning: what an encoder and a linear head learn together from few labels."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.nn import functional

from ccl.devices import device_of, fast_matrix_products, mixed_precision
from ccl.encoders.encoder import Encoder
from ccl.errors import TrainingError
from ccl.prefetch import pixels
from ccl.seeding import epoch_rng, step_generator
from ccl.views.augment import augment
from ccl.views.batch import as_image
from companion.cohorts.cohort import Cohort
from companion.evaluation.labels import labels_of
from companion.evaluation.options import FinetuningOptions
from companion.evaluation.results import ScoreFunction, evaluate, validation_auc


class Classifier(nn.Module):
    """An encoder with a linear head."""

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.width, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (n, K) of images (n, 1, H, W) in [0, 1]."""
        logits: Tensor = self.head(self.encoder(image))
        return logits


@dataclass(frozen=True)
class Finetuned:
    """A finetuned classifier.

    Attributes:
        classifier: with the weights of its best epoch.
        epoch: that epoch, from 0.
        validation_aucs: after each epoch; the best was chosen by them.
    """

    classifier: Classifier
    epoch: int
    validation_aucs: tuple[float, ...]


def finetune(
    cohort: Cohort,
    encoder: Encoder,
    options: FinetuningOptions,
    about: Mapping[str, object],
) -> pd.DataFrame:
    """ROC-AUC of finetuned encoders per label fraction, subset and test domain.

    Every labelled subset starts from the same encoder and a new head. Only real images are seen.

    Args:
        cohort, options: which images, fractions, seeds and so on.
        encoder: is left as it is; training runs on the device it is on.
        about: `objective`, `strategy` and `pretrain_seed` of the encoder, for the table.

    Returns:
        Rows of `results.csv`, protocol 'finetuned' (`companion.evaluation.results.evaluate`).

    Raises:
        TrainingError: the loss or a score is not finite.
        ValueError: no fraction or domain has enough images.
    """

    def learn(rows: np.ndarray, seed: int) -> ScoreFunction:
        classifier = fit_classifier(cohort, encoder, rows, options, seed).classifier
        return lambda tested: class_scores(classifier, cohort.images, tested)

    return evaluate(cohort, learn, options, {**about, "protocol": "finetuned"})


def fit_classifier(
    cohort: Cohort, encoder: Encoder, rows: np.ndarray, options: FinetuningOptions, seed: int
) -> Finetuned:
    """A copy of an encoder, finetuned on some rows and stopped early by validation AUC.

    Args:
        cohort: gives the images, the labels and the validation split.
        encoder: where to start from; left as it is.
        rows: int64 (n,) labelled training rows.
        options: how.
        seed: of head, order, augmentation and dropout.

    Returns:
        The classifier of the epoch with the highest validation AUC, the first of equals.

    Raises:
        TrainingError: the loss or a score is not finite.
        ValueError: the validation split lacks a class.
    """
    torch.manual_seed(int(epoch_rng(seed, 0, "finetuning").integers(2**63)))  # head, dropout
    device = device_of(encoder)
    classifier = Classifier(copy.deepcopy(encoder), len(cohort.classes)).to(device)
    classifier = classifier.to(memory_format=torch.channels_last)  # faster, nothing else
    optimizer = _optimizer(classifier, options)
    labels = labels_of(cohort, rows)
    weights = compute_class_weight("balanced", classes=np.arange(len(cohort.classes)), y=labels)
    weights = torch.from_numpy(weights).float().to(device)
    best, aucs = classifier.state_dict(), list[float]()
    for epoch in range(options.epochs):
        classifier.train()
        batches, losses = epoch_batches(rows, options, seed, epoch), list[Tensor]()
        stream = zip(batches, pixels(cohort.images, batches, device), strict=True)
        with fast_matrix_products(device.type):
            for step, (batch, images) in enumerate(stream, epoch * len(batches)):
                generator = step_generator(seed, step, "augment")
                labels = labels_of(cohort, batch)
                loss = _loss(classifier, images, labels, weights, options, generator)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
        _require_finite(torch.stack(losses), "loss")  # once: a GPU's host waits for the answer
        aucs.append(validation_auc(cohort, partial(class_scores, classifier, cohort.images)))
        if aucs[-1] > max(aucs[:-1], default=-1.0):
            best = copy.deepcopy(classifier.state_dict())
        elif epoch - int(np.argmax(aucs)) >= options.patience:
            break
    classifier.load_state_dict(best)
    return Finetuned(classifier.eval(), int(np.argmax(aucs)), tuple(aucs))


def _optimizer(classifier: Classifier, options: FinetuningOptions) -> torch.optim.Optimizer:
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[options.optimizer]
    rate, decay = options.learning_rate, options.weight_decay
    return kind(classifier.parameters(), lr=rate, weight_decay=decay, fused=True)


def epoch_batches(
    rows: np.ndarray, options: FinetuningOptions, seed: int, epoch: int
) -> np.ndarray:
    """The labelled rows of each step of an epoch, int64 (steps, batch).

    One pass over the rows without those that do not fill a batch; or as many passes as `min_steps`
    need, each in its own order; or the start of one.
    """
    batch = min(options.batch_size, len(rows))
    steps = max(options.min_steps, len(rows) // batch)
    steps = min(steps, options.max_steps or steps)
    passes = -(-steps * batch // len(rows))
    rng = epoch_rng(seed, epoch, "labelled images")
    order = np.concatenate([rng.permutation(rows) for _ in range(passes)])
    return order[: steps * batch].reshape(steps, batch)


def _loss(
    classifier: Classifier,
    images: Tensor,
    labels_of_batch: np.ndarray,
    weights: Tensor,
    options: FinetuningOptions,
    generator: torch.Generator,
) -> Tensor:
    """Class-weighted cross-entropy of augmented images, computed in float32."""
    views = augment(images, options.augment, generator)
    labels = torch.from_numpy(labels_of_batch.astype(np.int64))
    labels = labels.to(weights.device, non_blocking=True)
    half = options.precision == "bfloat16"
    with mixed_precision(weights.device.type, half):
        logits = classifier(views)  # (n, K)
    return functional.cross_entropy(logits.float(), labels, weights)


def _require_finite(values: Tensor, name: str) -> None:
    if not torch.isfinite(values).all():
        raise TrainingError(
            f"the {name} of finetuning is not finite: it has diverged; lower "
            "finetuning.learning_rate, or set finetuning.precision to float32"
        )


@torch.inference_mode()
def class_scores(
    classifier: Classifier, images: np.ndarray, rows: np.ndarray, *, batch_size: int = 256
) -> np.ndarray:
    """Scores of some rows (n,) of stored images: no augmentation, evaluation mode, float32.

    Returns:
        As `roc_auc` takes them: (n,) log odds of class 1 where K = 2, else probabilities (n, K).

    Raises:
        TrainingError: a score is not finite.
    """
    classifier.eval()
    device = classifier.head.weight.device
    parts = np.split(rows, range(batch_size, len(rows), batch_size))
    logits = torch.cat([classifier(as_image(some)) for some in pixels(images, parts, device)])
    _require_finite(logits, "scores")
    if logits.shape[1] == 2:
        return (logits[:, 1] - logits[:, 0]).cpu().numpy()
    return logits.softmax(1).cpu().numpy()
