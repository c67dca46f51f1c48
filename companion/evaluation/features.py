"""Features of a frozen encoder."""

from pathlib import Path

import numpy as np
import torch

from ccl.devices import device_of
from ccl.encoders.encoder import Encoder
from ccl.prefetch import pixels
from ccl.views.batch import as_image
from companion.engine import storage


@torch.inference_mode()
def extract_features(
    encoder: Encoder, images: np.ndarray, rows: np.ndarray | None = None, *, batch_size: int = 256
) -> np.ndarray:
    """Features of stored images: no augmentation, evaluation mode, float32.

    Args:
        encoder: used on the device it is on; its training mode is restored afterwards.
        images: uint8 (N, H, W), may be a memory map.
        rows: int64 (n,) rows of `images`, or None for all.
        batch_size: images at a time; bounds the memory and does not matter otherwise.

    Returns:
        float32 (n, encoder.probed_width).

    Raises:
        FloatingPointError: a feature is not finite.
    """
    rows = np.arange(len(images)) if rows is None else rows
    parts = np.split(rows, range(batch_size, len(rows), batch_size))
    features = np.empty((len(rows), encoder.probed_width), dtype=np.float32)
    was_training = encoder.training
    encoder.eval()
    try:
        done = 0
        for batch in pixels(images, parts, device_of(encoder)):
            found = encoder.features(as_image(batch)).float().cpu().numpy()
            features[done : done + len(found)] = found
            done += len(found)
    finally:
        encoder.train(was_training)
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise FloatingPointError(
            f"the encoder's features of {np.sum(~finite)} of {len(rows)} images are not finite, "
            f"first of row {rows[int(np.argmin(finite))]}; its training has diverged"
        )
    return features


def save(features: np.ndarray, path: Path) -> None:
    """Writes features (n, D) in half precision, which is enough for maps and neighbours.

    Features that half precision cannot hold are written in single precision.
    """
    largest = float(np.finfo(np.float16).max)
    fits = not features.size or float(np.abs(features).max()) < largest
    storage.write_npy(path, features.astype(np.float16 if fits else np.float32))


def load(path: Path, positions: np.ndarray | None = None) -> np.ndarray:
    """Features as float32 (n, D): all, or those at some positions (n,) alone."""
    features = storage.read_npy(path)
    return (features if positions is None else features[positions]).astype(np.float32)
