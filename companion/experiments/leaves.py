"""Teaches the slim encoders on dead leaves: the initial weights that `pretrained: leaves` names.

Plain SimCLR on procedural images (`companion.cohorts.simulation.dead_leaves`). The recipe was
chosen by probes of the weights, and of SimCLR after them, on a phantom of another seed than any
profile's.
"""

import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from ccl.encoders.encoder import build_encoder
from ccl.encoders.options import LEAVES, SLIM, VIT_SLIM, EncoderOptions, VitOptions, weights_file
from ccl.objectives.batches import PairBatches
from ccl.objectives.simclr import SimCLR
from ccl.objectives.simclr_options import SimCLROptions
from ccl.pairs import Pairs
from ccl.trainer import fit
from ccl.views.augment import AugmentOptions
from companion.cohorts.simulation.dead_leaves import LeavesOptions, dead_leaves

ARCHITECTURES = (SLIM, VIT_SLIM)
SEED = 0  # of weights, order and views
VIEWS = AugmentOptions(
    crop_scale=(0.4, 0.99),
    rotation_degrees=10,
    vertical_flip_probability=0,
    brightness=0.4,
    contrast=0.4,
    erase_probability=0,
)


def recipe(
    architecture: str, images: int = 48_000, epochs: int = 20
) -> tuple[LeavesOptions, SimCLROptions]:
    """The images and the training of the weights in this repository.

    Args:
        architecture: 'resnet-slim' or 'vit-slim'.
        images, epochs: fewer for a trial.
    """
    convolutional = architecture == SLIM
    return LeavesOptions(n=images), SimCLROptions(
        encoder=EncoderOptions(
            architecture=architecture, vit=VitOptions(patch=8, width=64, depth=3, heads=2)
        ),
        epochs=epochs,
        batch_size=256,
        learning_rate=2e-3 if convolutional else 1e-3,
        precision="bfloat16" if convolutional else "float32",
        warmup_epochs=1,
        augment=VIEWS,
    )


def teach(leaves: LeavesOptions, simclr: SimCLROptions, folder: Path | None = None) -> Path:
    """The file of a trained backbone, below 3 MB in half precision; a record is written beside it.

    Args:
        leaves, simclr: the images and the training, as of `recipe`.
        folder: receives `<architecture>.safetensors` and `.json`; by default the package's own.
    """
    images = dead_leaves(leaves, os.cpu_count() or 1)
    torch.manual_seed(SEED)
    encoder = build_encoder(simclr.encoder, (leaves.size, leaves.size))
    rows = np.arange(len(images))
    batches = PairBatches(Pairs("standard", images), rows, batch_size=simclr.batch_size, seed=SEED)
    module = SimCLR(encoder, simclr, seed=SEED, steps_per_epoch=len(batches))
    start = time.perf_counter()
    history = fit(module, batches, epochs=simclr.epochs, folder=None, seed=SEED)
    file = weights_file(simclr.encoder.architecture, LEAVES)
    file = file if folder is None else folder / file.name
    weights = module.pretrained.backbone.cpu().state_dict()
    save_file({name: _halved(tensor) for name, tensor in weights.items()}, file)
    on_gpu = torch.cuda.is_available()
    record = {
        "leaves": leaves.model_dump(mode="json"),
        "simclr": simclr.model_dump(mode="json"),
        "seed": SEED,
        "loss": history[-1]["loss"],
        "seconds": round(time.perf_counter() - start),
        "device": torch.cuda.get_device_name() if on_gpu else platform.processor(),
        "torch": torch.__version__,
    }
    file.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return file


def _halved(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
