"""Composition and reversibility: does nothing change where nothing, or its undoing, was asked?

**Composition**: the null intervention do(scanner = own) must return the image. The pixel noise is
left out: with it, one cycle returns any image whatever the generator has learned.

**Reversibility**: do(scanner = target), then do(scanner = own) must return the image. The pixel
noise goes along, as in the pairs.

Source: axioms of Galles and Pearl 1998; as measures Monteiro et al. 2023,
https://arxiv.org/abs/2303.01274.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ccl.cohorts import Cohort
from ccl.generator.generator import Generator, to_images
from ccl.generator.quality.distances import mean_absolute_error, ssim
from ccl.generator.quality.summary import patient_names, scanner_names, summarise, values

DISTANCES = {"l1": mean_absolute_error, "ssim": ssim}


def composition(
    cohort: Cohort, generators: Mapping[str, Generator], rows: np.ndarray, cycles: tuple[int, ...]
) -> pd.DataFrame:
    """Distance of images from what null interventions make of them, without pixel noise.

    Args:
        cohort: real images.
        generators: name to generator, in `images` of the result.
        rows: (n,) rows of pretraining scanners.
        cycles: after how many interventions to measure.

    Returns:
        Rows `composition_l1` (grey levels of 255) and `composition_ssim`, with the cycles in
        `images`, e.g. 'counterfactual, 10 cycles'.
    """
    real, own = cohort.images[rows], scanner_names(cohort, rows)
    patients = patient_names(cohort, rows)
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in DISTANCES}
    for images, generator in generators.items():
        x, parents = generator.observed(cohort, rows)
        walk = _walk(generator, x, [parents] * (max(cycles) + 1), pixel_noise=False)
        for cycle, moved in enumerate(walk, start=1):
            if cycle in cycles:
                for name, distance in DISTANCES.items():
                    values_ = distance(to_images(moved), real)
                    found[name].append(values(_after(images, cycle), own, own, patients, values_))
    return _summaries("composition", found)


def reversibility(
    cohort: Cohort, generators: Mapping[str, Generator], rows: np.ndarray, cycles: tuple[int, ...]
) -> pd.DataFrame:
    """Distance of images from themselves, sent to another scanner and back.

    Args:
        cohort, generators, rows: as `composition`'s.
        cycles: after how many journeys there and back to measure.

    Returns:
        Rows `reversibility_l1` and `reversibility_ssim`, as `composition`'s, per direction; beside
        them 'counterfactual, one way', which was not sent back.
    """
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in DISTANCES}
    for images, generator in generators.items():
        for k, target in enumerate(cohort.scanners):
            foreign = rows[cohort.codes("scanner", rows) != k]
            if len(foreign) == 0:
                continue
            real, own = cohort.images[foreign], scanner_names(cohort, foreign)
            patients = patient_names(cohort, foreign)
            x, home = generator.observed(cohort, foreign)
            away = {**home, "scanner": torch.full_like(home["scanner"], k)}
            visited = [home, *[away, home] * max(cycles)]
            walk = _walk(generator, x, visited, pixel_noise=True)
            for step, moved in enumerate(walk, start=1):
                back, halfway = divmod(step, 2)
                if step > 1 and (halfway or back not in cycles):
                    continue
                kind = _after(images, back) if back else f"{images}, one way"
                for name, distance in DISTANCES.items():
                    off = distance(to_images(moved), real)
                    found[name].append(values(kind, own, target, patients, off))
    return _summaries("reversibility", found)


@torch.inference_mode()
def _walk(
    generator: Generator, x: Tensor, visited: list[dict[str, Tensor]], *, pixel_noise: bool
) -> Iterator[Tensor]:
    """The images after each intervention, sent from one set of parents to the next."""
    model = generator.hvae
    for here, there in pairwise(visited):
        noise = model.abduct(x, here)
        x = model.predict(noise if pixel_noise else noise.without_pixels(), there)
        yield x


def _after(images: str, cycles: int) -> str:
    return f"{images}, {cycles} cycle{'s' if cycles > 1 else ''}"


def _summaries(measure: str, found: Mapping[str, list[pd.DataFrame]]) -> pd.DataFrame:
    parts = [summarise(f"{measure}_{name}", tables) for name, tables in found.items()]
    return pd.concat(parts, ignore_index=True)
