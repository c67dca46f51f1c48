"""From images on disk to both views of every pair: images/s relative to lightly's pipeline.

    python benchmarks/input_pipeline.py [size] [images]

The same images (noise, 224 pixels by default, memory-mapped), the same operations (random crop,
rotation, both flips, brightness and contrast, float in [0, 1]) and all cores for both: here whole
batches are augmented at once by the threads of one process; there `SimCLRTransform` works image by
image in as many worker processes of a `DataLoader` as there are cores.
"""

import os
import sys
import tempfile
from collections import deque
from pathlib import Path

import numpy as np
import torch
from lightly.transforms import SimCLRTransform
from PIL import Image
from timing import in_turns
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ccl.objectives.batches import PairBatches
from ccl.pairs import Pairs
from ccl.views.augment import augment
from ccl.views.options import AugmentOptions

BATCH, ROUNDS = 128, 3
CORES = len(os.sched_getaffinity(0))
OPTIONS = AugmentOptions(sharpness_probability=0, erase_probability=0)  # lightly's has neither


class Pictures(Dataset[list[Tensor]]):
    """The images as lightly takes them, with both views made of each."""

    def __init__(self, file: Path, size: int) -> None:
        self.images = np.load(file, mmap_mode="r", allow_pickle=False)
        self.views = SimCLRTransform(
            input_size=size,
            min_scale=OPTIONS.crop_scale[0],
            rr_prob=OPTIONS.rotation_probability,
            rr_degrees=OPTIONS.rotation_degrees,
            hf_prob=OPTIONS.horizontal_flip_probability,
            vf_prob=OPTIONS.vertical_flip_probability,
            cj_prob=OPTIONS.intensity_probability,
            cj_bright=OPTIONS.brightness,
            cj_contrast=OPTIONS.contrast,
            cj_sat=0,
            cj_hue=0,
            random_gray_scale=0,
            gaussian_blur=0,
            normalize=None,
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> list[Tensor]:
        views: list[Tensor] = self.views(Image.fromarray(self.images[row]))
        return views


def ours(file: Path) -> None:
    """One epoch of pairs."""
    images = np.load(file, mmap_mode="r", allow_pickle=False)
    batches = PairBatches(
        Pairs("standard", images), np.arange(len(images)), batch_size=BATCH, seed=0
    )
    generator = torch.Generator().manual_seed(0)
    for batch in batches.epoch(0):
        for source in batch.values():
            augment(source, OPTIONS, generator)


def main(size: int, count: int) -> None:
    """Prints images/s and their ratio."""
    torch.set_num_threads(CORES)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images.npy"
        rng = np.random.default_rng(0)
        np.save(file, rng.integers(0, 256, (count, size, size), dtype=np.uint8))
        loader = DataLoader(
            Pictures(file, size),
            BATCH,
            shuffle=True,
            drop_last=True,
            num_workers=CORES,
            persistent_workers=True,  # started in the round that is not timed
        )
        seconds = in_turns([lambda: ours(file), lambda: deque(loader, maxlen=0)], ROUNDS)
    made = count // BATCH * BATCH
    mine, theirs = (made / taken for taken in seconds)
    print(f"two views of each image, {size}x{size}, {CORES} cores      images/s")
    print(f"ccl                                                {mine:8.0f}")
    print(f"lightly's SimCLRTransform                          {theirs:8.0f}")
    print(f"ratio                                              {mine / theirs:8.2f}")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 224,
        int(sys.argv[2]) if len(sys.argv) > 2 else 1024,
    )
