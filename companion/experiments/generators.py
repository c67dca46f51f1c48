"""Training, finetuning and opening the generator of a cohort."""

from pathlib import Path

import pandas as pd
import torch

from ccl.generator import finetuning, training
from ccl.generator.generator import DESCRIPTION, WEIGHTS, Generator, build
from ccl.generator.options import GeneratorOptions, TuningOptions
from companion.cohorts.causes import image_parents
from companion.cohorts.cohort import Cohort
from companion.engine import storage
from companion.quality.classifier import (
    Targets,
    attribute_targets,
    scanner_target,
    train_classifier,
)


def train(
    cohort: Cohort, options: GeneratorOptions, folder: Path, stop_after: int | None = None
) -> tuple[Generator, pd.DataFrame]:
    """Trains a generator on a cohort's train split; see `ccl.generator.training.train`."""
    rows = cohort.rows("train", "pretraining")
    parents = image_parents(cohort, options.graph, options.coupling)
    generator, history = training.train(cohort, rows, parents, options, folder, stop_after)
    return generator, pd.DataFrame(history)


def finetune(
    cohort: Cohort,
    base: Generator,
    options: GeneratorOptions,
    tuning: TuningOptions,
    folder: Path,
) -> tuple[Generator, pd.DataFrame]:
    """Finetunes it, with a predictor trained on the same images; changes `base`.

    See `ccl.generator.finetuning.finetune`.
    """
    targets = Targets({**scanner_target(cohort).sizes, **attribute_targets(cohort).sizes})
    predictor = train_classifier(cohort, targets, tuning.predictor, folder / "predictor")
    rows = cohort.rows("train", "pretraining")
    generator, history = finetuning.finetune(
        cohort, rows, base, predictor, targets, options, tuning, folder
    )
    return generator, pd.DataFrame(history)


def load(folder: Path, device: torch.device | str = "cpu") -> Generator:
    """Opens what `ccl.generator.generator.save` wrote, onto a device.

    Raises:
        FileNotFoundError: the folder holds no generator.
        DamagedFileError: a file is not what was written.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: '{folder}' holds no trained generator")
    return build(storage.described(path), storage.tensors(folder / WEIGHTS), device)
