"""What an objective cuts views from: a batch of stored images."""

import torch
from torch import Tensor

Batch = dict[str, Tensor]


def as_image(pixels: Tensor) -> Tensor:
    """Stored uint8 images (n, H, W) as an encoder's input, float32 (n, 1, H, W) in [0, 1]."""
    if pixels.dtype != torch.uint8 or pixels.ndim != 3:
        raise ValueError(f"pixels must be uint8 (n, H, W), got {pixels.dtype} {pixels.shape}")
    return pixels.unsqueeze(1).float() / 255
