"""Composition and reversibility: does nothing change where nothing, or its undoing, was asked?

**Composition**: the null intervention do(scanner = own) must return the image. The pixel noise is
left out: with it, one cycle returns any image whatever the generator has learned.

**Reversibility**: do(scanner = target), then do(scanner = own) must return the image. The pixel
noise goes along, as in the pairs.

Source: axioms of Galles and Pearl 1998; as measures Monteiro et al. 2023,
https://arxiv.org/abs/2303.01274.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import torch

from ccl.generator.generator import Generator, to_images
from companion.quality.distances import mean_absolute_error, ssim
from companion.quality.sample import Measurements, Sample

BATCH_SIZE = 64  # images per pass
Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]
DISTANCES: Mapping[str, Distance] = {"l1": mean_absolute_error, "ssim": ssim}


def composition(
    sample: Sample, generators: Mapping[str, Generator], cycles: tuple[int, ...]
) -> pd.DataFrame:
    """Distance of images from what null interventions make of them, without pixel noise.

    Args:
        sample: real images, the variable is the scanner.
        generators: by name.
        cycles: after how many interventions to measure.

    Returns:
        Rows `composition_l1` (grey levels of 255) and `composition_ssim`, with the cycles in
        `images`, e.g. 'counterfactual, 10 cycles'.
    """
    found, everything = Measurements(sample), np.arange(len(sample.rows))
    for name, generator in generators.items():
        route = [None] * (max(cycles) + 1)
        by_step = _journey(sample, generator, everything, route, set(cycles), pixel_noise=False)
        for cycle, images in by_step.items():
            for distance, measured in DISTANCES.items():
                x = measured(images, sample.real)
                found.add(f"composition_{distance}", _after(name, cycle), x)
    return found.summary()


def reversibility(
    sample: Sample,
    generators: Mapping[str, Generator],
    cycles: tuple[int, ...],
    distances: Mapping[str, Distance] = DISTANCES,
) -> pd.DataFrame:
    """Distance of images from themselves, sent to another scanner and back.

    Args:
        sample, generators: as `composition`'s.
        cycles: after how many journeys there and back to measure.
        distances: which of `DISTANCES`.

    Returns:
        Rows `reversibility_l1` and `reversibility_ssim`, as `composition`'s, per direction; beside
        them 'counterfactual, one way', which was not sent back.
    """
    found = Measurements(sample)
    stops = {1, *(2 * each for each in cycles)}
    for name, generator in generators.items():
        for k, at in sample.interventions():
            route = [None, *[k, None] * max(cycles)]
            by_step = _journey(sample, generator, at, route, stops, pixel_noise=True)
            for step, images in by_step.items():
                kind = _after(name, step // 2) if step > 1 else f"{name}, one way"
                for distance, measured in distances.items():
                    x = measured(images, sample.real[at])
                    found.add(f"reversibility_{distance}", kind, x, k, at)
    return found.summary()


@torch.inference_mode()
def _journey(
    sample: Sample,
    generator: Generator,
    at: np.ndarray,
    route: Sequence[int | None],
    stops: set[int],
    *,
    pixel_noise: bool,
) -> dict[int, np.ndarray]:
    """What becomes of images that are sent from scanner to scanner.

    Args:
        sample, generator, at: the images at some positions (n,) of the sample.
        route: codes of the scanners, None for the images' own; the first is where they are.
        stops: after how many interventions to keep the images.
        pixel_noise: goes along.

    Returns:
        Stop, in rising order, to the images then, uint8 (n, H, W).
    """
    kept: dict[int, list[np.ndarray]] = {stop: [] for stop in sorted(stops)}
    model = generator.hvae
    for rows in np.split(sample.rows[at], range(BATCH_SIZE, len(at), BATCH_SIZE)):
        x, own = generator.observed(sample.cohort, rows)
        visited = [
            own if k is None else {**own, "scanner": torch.full_like(own["scanner"], k)}
            for k in route
        ]
        for step, (parents, new_parents) in enumerate(pairwise(visited), start=1):
            noise = model.abduct(x, parents)
            x = model.predict(noise if pixel_noise else noise.without_pixels(), new_parents)
            if step in kept:
                kept[step].append(to_images(x))
    return {stop: np.concatenate(parts) for stop, parts in kept.items()}


def _after(images: str, cycles: int) -> str:
    return f"{images}, {cycles} cycle{'s' if cycles > 1 else ''}"
