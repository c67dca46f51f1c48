"""Composition and reversibility: does nothing change where nothing, or its undoing, was asked?

**Composition**: the null intervention do(scanner = own) must return the image. The pixel noise is
left out: with it, one cycle returns any image whatever the generator has learned.

**Reversibility**: do(scanner = target), then do(scanner = own) must return the image. The pixel
noise goes along, as in the pairs.

Source: axioms of Galles and Pearl 1998; as measures Monteiro et al. 2023,
https://arxiv.org/abs/2303.01274.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ccl.generator.generator import Generator, to_images
from companion.cohorts.cohort import Cohort
from companion.engine.mapped import read
from companion.quality.distances import mean_absolute_error, ssim
from companion.quality.summary import patient_names, scanner_names, summarise, values

BATCH_SIZE = 64  # images per pass
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
    own, patients = scanner_names(cohort, rows), patient_names(cohort, rows)
    by_distance: dict[str, list[pd.DataFrame]] = {name: [] for name in DISTANCES}
    for images, generator in generators.items():
        route = [None] * (max(cycles) + 1)
        by_step = _distances_along(cohort, generator, rows, route, set(cycles), pixel_noise=False)
        for cycle, distances in by_step.items():
            for name, distance in distances.items():
                by_distance[name].append(
                    values(_after(images, cycle), own, own, patients, distance)
                )
    return _summaries("composition", by_distance)


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
    by_distance: dict[str, list[pd.DataFrame]] = {name: [] for name in DISTANCES}
    for images, generator in generators.items():
        for k, target in enumerate(cohort.scanners):
            foreign = rows[cohort.codes("scanner", rows) != k]
            if len(foreign) == 0:
                continue
            own, patients = scanner_names(cohort, foreign), patient_names(cohort, foreign)
            route, stops = [None, *[k, None] * max(cycles)], {1, *(2 * each for each in cycles)}
            by_step = _distances_along(cohort, generator, foreign, route, stops, pixel_noise=True)
            for step, distances in by_step.items():
                kind = _after(images, step // 2) if step > 1 else f"{images}, one way"
                for name, distance in distances.items():
                    by_distance[name].append(values(kind, own, target, patients, distance))
    return _summaries("reversibility", by_distance)


def _distances_along(
    cohort: Cohort,
    generator: Generator,
    rows: np.ndarray,
    route: Sequence[int | None],
    stops: set[int],
    *,
    pixel_noise: bool,
) -> dict[int, dict[str, np.ndarray]]:
    """How far images are from themselves at some stops of a route.

    Args:
        cohort, generator: of the images.
        rows: (n,) of which few at a time are in memory.
        route: codes of the scanners that the images are sent to, None for their own; the first is
            where they are.
        stops: after how many interventions to measure.
        pixel_noise: goes along.

    Returns:
        Stop, in rising order, to name of the distance to its values (n,).
    """
    by_distance = {stop: {name: list[np.ndarray]() for name in DISTANCES} for stop in sorted(stops)}
    for chunk in np.split(rows, range(BATCH_SIZE, len(rows), BATCH_SIZE)):
        real = read(cohort.images, chunk)
        x, own_codes = generator.observed(cohort, chunk)
        scanner = own_codes["scanner"]
        visited = [
            own_codes if k is None else {**own_codes, "scanner": torch.full_like(scanner, k)}
            for k in route
        ]
        moved_images = _interventions(generator, x, visited, pixel_noise=pixel_noise)
        for step, moved in enumerate(moved_images, start=1):
            if step in stops:
                images = to_images(moved)
                for name, distance in DISTANCES.items():
                    by_distance[step][name].append(distance(images, real))
    return {
        stop: {name: np.concatenate(parts) for name, parts in distances.items()}
        for stop, distances in by_distance.items()
    }


@torch.inference_mode()
def _interventions(
    generator: Generator, x: Tensor, visited: list[dict[str, Tensor]], *, pixel_noise: bool
) -> Iterator[Tensor]:
    """The images after each intervention, sent from one set of parents to the next."""
    model = generator.hvae
    for parents, new_parents in pairwise(visited):
        noise = model.abduct(x, parents)
        x = model.predict(noise if pixel_noise else noise.without_pixels(), new_parents)
        yield x


def _after(images: str, cycles: int) -> str:
    return f"{images}, {cycles} cycle{'s' if cycles > 1 else ''}"


def _summaries(measure: str, by_distance: Mapping[str, list[pd.DataFrame]]) -> pd.DataFrame:
    parts = [summarise(f"{measure}_{name}", tables) for name, tables in by_distance.items()]
    return pd.concat(parts, ignore_index=True)
