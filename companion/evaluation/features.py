"""Features of a frozen encoder."""

from pathlib import Path

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from ccl.devices import device_of
from ccl.encoders.encoder import Encoder
from ccl.prefetch import pixels
from ccl.views.batch import as_image
from companion.engine import storage

NUMBERS_AT_ONCE = 2**24  # of features that are copied in float64 to compute with
_MAX_IN_FLOAT64 = 2**27  # numbers, a gibibyte


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
    device = device_of(encoder)
    features = np.empty((len(rows), encoder.probed_width), dtype=np.float32)
    finite = np.empty(len(rows), dtype=bool)
    was_training = encoder.training
    encoder.eval()
    try:
        starts = range(0, len(rows), batch_size)
        parts = [slice(start, start + batch_size) for start in starts]
        stream = pixels(images, (rows[part] for part in parts), device)
        for part, some in zip(parts, stream, strict=True):
            features[part] = encoder.features(as_image(some)).float().cpu().numpy()
            finite[part] = np.isfinite(features[part]).all(axis=1)
    finally:
        encoder.train(was_training)
    _require_finite(finite, rows)
    return features


def _require_finite(finite: np.ndarray, rows: np.ndarray) -> None:
    if not finite.all():
        raise FloatingPointError(
            f"the encoder's features of {np.sum(~finite)} of {len(rows)} images are not finite, "
            f"first of row {rows[int(np.argmin(finite))]}; its training has diverged"
        )


def as_float(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Features of some rows in floating point, a copy that may be changed.

    In float64 or, where that would take more than a gibibyte, in float32: of so many images no
    figure depends on the digits that are lost.

    Args:
        features: float32 (N, D).
        rows: int64 (n,).
    """
    return features[rows].astype(
        np.float64 if len(rows) * features.shape[1] <= _MAX_IN_FLOAT64 else np.float32, copy=False
    )


def fit_scaler(values: np.ndarray) -> StandardScaler:
    """A scaler to mean 0 and variance 1, fitted chunk by chunk, which works in place.

    At once it would copy all of them in float64.

    Args:
        values: float (n, D); left as they are.
    """
    scaler = StandardScaler(copy=False)
    chunk = max(1, NUMBERS_AT_ONCE // values.shape[1])
    for start in range(0, len(values), chunk):
        scaler.partial_fit(values[start : start + chunk])
    return scaler


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
