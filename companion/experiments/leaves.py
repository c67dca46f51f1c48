"""Teaches the slim encoders on dead leaves: the initial weights that `pretrained: leaves` names.

Plain SimCLR on procedural images (`companion.cohorts.simulation.dead_leaves`). The recipe was
chosen by probes of the weights, and of SimCLR after them, on a phantom of another seed than any
profile's.
"""

import json
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from ccl.encoders.encoder import build_encoder
from ccl.encoders.options import (
    LEAVES,
    SLIM,
    VIT_SLIM,
    EncoderOptions,
    VitOptions,
    weights_file,
)
from ccl.objectives.batches import PairBatches
from ccl.objectives.simclr import SimCLR
from ccl.objectives.simclr_options import SimCLROptions
from ccl.pairs import Pairs
from ccl.trainer import fit
from ccl.views.augment import AugmentOptions
from companion.cohorts.simulation.dead_leaves import LeavesOptions, dead_leaves

ARCHITECTURES = (SLIM, VIT_SLIM)
VIEWS = AugmentOptions(
    crop_scale=(0.4, 0.99),
    rotation_degrees=10,
    vertical_flip_probability=0,
    brightness=0.4,
    contrast=0.4,
    erase_probability=0,
)


@dataclass(frozen=True)
class Recipe:
    """How an encoder is taught.

    Attributes:
        leaves: the images.
        simclr: the training, its encoder among it.
        seed: of weights, order and views.
    """

    leaves: LeavesOptions
    simclr: SimCLROptions
    seed: int = 0


def recipe(architecture: str, images: int = 48_000, epochs: int = 20) -> Recipe:
    """The recipe of the weights in this repository.

    Args:
        architecture: 'resnet-slim' or 'vit-slim'.
        images, epochs: fewer for a trial.
    """
    encoder = EncoderOptions(
        architecture=architecture, vit=VitOptions(patch=8, width=64, depth=3, heads=2)
    )
    convolutional = architecture == SLIM
    simclr = SimCLROptions(
        encoder=encoder,
        epochs=epochs,
        batch_size=256,
        learning_rate=2e-3 if convolutional else 1e-3,
        precision="bfloat16" if convolutional else "float32",
        warmup_epochs=1,
        augment=VIEWS,
    )
    return Recipe(LeavesOptions(n=images), simclr)


def teach(training_recipe: Recipe, folder: Path | None = None) -> Path:
    """The file of a trained backbone, in half precision; a record is written beside it.

    Args:
        training_recipe: how.
        folder: receives `<architecture>.safetensors` and `.json`; by default the package's own.

    Returns:
        The file of weights, below 3 MB.
    """
    images = dead_leaves(training_recipe.leaves, os.cpu_count() or 1)
    options, seed, size = training_recipe.simclr, training_recipe.seed, training_recipe.leaves.size
    torch.manual_seed(seed)
    encoder = build_encoder(options.encoder, (size, size))
    batches = PairBatches(
        Pairs("standard", images),
        np.arange(len(images)),
        batch_size=options.batch_size,
        seed=seed,
    )
    module = SimCLR(encoder, options, seed=seed, steps_per_epoch=len(batches))
    start = time.perf_counter()
    history = fit(module, batches, epochs=options.epochs, folder=None, seed=seed)
    file = weights_file(options.encoder.architecture, LEAVES)
    file = file if folder is None else folder / file.name
    weights = module.pretrained.backbone.cpu().state_dict()
    save_file({name: _halved(tensor) for name, tensor in weights.items()}, file)
    record = _record(training_recipe, history[-1]["loss"], time.perf_counter() - start)
    file.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return file


def _halved(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor.half() if tensor.is_floating_point() else tensor).contiguous()


def _record(training_recipe: Recipe, loss: float, seconds: float) -> dict[str, Any]:
    on_gpu = torch.cuda.is_available()
    return {
        "leaves": training_recipe.leaves.model_dump(mode="json"),
        "simclr": training_recipe.simclr.model_dump(mode="json"),
        "seed": training_recipe.seed,
        "loss": loss,
        "seconds": round(seconds),
        "device": torch.cuda.get_device_name() if on_gpu else platform.processor(),
        "torch": torch.__version__,
    }
