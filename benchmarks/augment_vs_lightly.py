"""Making 512 views of 64x64: time relative to transforms that work image by image.

    python benchmarks/augment_vs_lightly.py

The same augmentations (crop, rotation, flips, intensity, sharpness, erasing) three ways: batched
here; torchvision v2 composed as the paper's code composes them, image by image; and lightly's
`SimCLRTransform` with what it offers of them (no sharpness, no erasing).
"""

import numpy as np
import torch
from lightly.transforms import SimCLRTransform
from PIL import Image
from timing import in_turns
from torchvision.transforms import v2

from ccl.views.augment import augment
from ccl.views.options import AugmentOptions

VIEWS, SIZE = 512, 64


def per_image(options: AugmentOptions) -> v2.Compose:
    """torchvision's transforms with the options of the batched ones."""
    jitter = v2.ColorJitter(brightness=options.brightness, contrast=options.contrast)
    return v2.Compose(
        [
            v2.ToDtype(torch.float32, scale=True),
            v2.RandomResizedCrop(SIZE, options.crop_scale, options.crop_ratio),
            v2.RandomApply(
                [
                    v2.RandomRotation(
                        options.rotation_degrees, interpolation=v2.InterpolationMode.BILINEAR
                    )
                ],
                options.rotation_probability,
            ),
            v2.RandomHorizontalFlip(options.horizontal_flip_probability),
            v2.RandomVerticalFlip(options.vertical_flip_probability),
            v2.RandomApply([jitter], options.intensity_probability),
            v2.RandomAdjustSharpness(2, options.sharpness_probability),
            v2.RandomErasing(options.erase_probability, options.erase_scale),
        ]
    )


def main() -> None:
    """Prints times and ratios."""
    options = AugmentOptions()
    images = np.random.default_rng(0).integers(0, 256, (VIEWS, SIZE, SIZE), dtype=np.uint8)
    source = torch.from_numpy(images)
    generator = torch.Generator().manual_seed(0)
    torchvision = per_image(options)
    lightly = SimCLRTransform(
        input_size=SIZE, rr_prob=0.5, rr_degrees=45, vf_prob=0.5, gaussian_blur=0.0
    )
    pictures = [Image.fromarray(image).convert("RGB") for image in images[: VIEWS // 2]]
    ours, theirs, lightlys = in_turns(
        [
            lambda: augment(source, options, generator),
            lambda: torch.stack([torchvision(image[None]) for image in source]),
            lambda: [lightly(picture) for picture in pictures],  # two views each
        ],
        rounds=5,
    )
    print(f"{VIEWS} views of {SIZE}x{SIZE}           ms   times ours")
    print(f"batched (ccl)             {1e3 * ours:8.1f} {1.0:8.1f}")
    print(f"torchvision, per image    {1e3 * theirs:8.1f} {theirs / ours:8.1f}")
    print(f"lightly SimCLRTransform   {1e3 * lightlys:8.1f} {lightlys / ours:8.1f}")


if __name__ == "__main__":
    main()
