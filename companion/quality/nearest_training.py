"""Distance to the nearest training image of the target scanner: has the generator copied?

A generator that memorised its training images gives distances well below those of real test images.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from ccl.devices import fastest_device
from companion.engine.mapped import read
from companion.quality.sample import Measurements, Sample


def nearest_training_image(
    sample: Sample, counterfactuals: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Rows `nearest_training`, root mean square over the pixels in grey levels of 255.

    Of 'real' (test images to training images of their own scanner) and of each kind of
    counterfactuals.
    """
    found, stored = Measurements(sample), sample.cohort.images
    for k, scanner in enumerate(sample.values):
        training = sample.cohort.rows("train", [scanner])
        mine, foreign = np.flatnonzero(sample.own == k), np.flatnonzero(sample.own != k)
        candidates = {"real": (mine, sample.real[mine])}
        candidates |= {kind: (foreign, x[foreign, k]) for kind, x in counterfactuals.items()}
        for kind, (at, images) in candidates.items():
            if len(at) and len(training):
                x = nearest_distance(images, stored, training)
                found.add("nearest_training", kind, x, k, at)
    return found.summary()


def nearest_distance(
    images: np.ndarray, stored: np.ndarray, rows: np.ndarray, *, chunk: int = 512
) -> np.ndarray:
    """Distance of images to the nearest of others, of which few at a time are in memory.

    Args:
        images: uint8 (n, H, W).
        stored: uint8 (N, H, W), perhaps memory-mapped.
        rows: (m,) rows of those to compare with, m > 0.
        chunk: images compared at once.

    Returns:
        float32 (n,), root mean square over the pixels, in grey levels of 255.
    """
    device = fastest_device()
    nearest = np.full(len(images), np.inf, dtype=np.float32)
    for start in range(0, len(rows), chunk):
        others = _flat(read(stored, rows[start : start + chunk]), device)
        for first in range(0, len(images), chunk):
            part = slice(first, first + chunk)
            distance = torch.cdist(_flat(images[part], device), others).min(dim=1).values
            nearest[part] = np.minimum(nearest[part], distance.cpu().numpy())
    return nearest / np.float32(images[0].size ** 0.5)


def _flat(images: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(images.reshape(len(images), -1)).to(device).float()
