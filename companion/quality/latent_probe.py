"""Latent probe: how well can a line tell the scanner from the latents of each resolution?

What abduction keeps of an image (its latents, see `HVAEOptions.abduct`) goes unchanged into every
counterfactual. Whatever of the scanner it carries is carried over as well, and decoding under
another scanner changes only the rest. At best a linear classifier on the latents is at chance.

Source: Alain and Bengio 2016, https://arxiv.org/abs/1610.01644; for latents that carry parents, De
Sousa Ribeiro et al. 2023, https://arxiv.org/abs/2306.15764, section 3.2.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression

from ccl.generator.generator import Generator
from companion.cohorts.cohort import Cohort
from companion.quality.sample import Measurements, Sample

C = 1e-2  # inverse strength of the L2 penalty: there are more latents than images
_LATENTS_AT_ONCE = 2**13  # of training images, in float64
_NUMBERS_AT_ONCE = 2**26  # of the latents of test images; at 224 pixels an image has 700,000
_EPS = float(np.finfo(np.float64).eps)
SHUFFLED = "shuffled"
SHUFFLES = 4  # of the negative control: where scanners lie apart, one by itself may hit by chance


def latent_probe(
    sample: Sample, generators: Mapping[str, Generator], per_scanner: int
) -> pd.DataFrame:
    """Balanced accuracy of linear probes for the scanner, per resolution of the latents.

    Args:
        sample: real test images, the variable is the scanner.
        generators: by name.
        per_scanner: training images of each scanner that probes learn on, at most.

    Returns:
        Rows `scanner_in_latents_R` of resolution R per scanner (`source` and `target`) and over all
        scanners, each counted alike: 1 is all of the scanner, one over their number is chance.
        Beside them the negative control 'shuffled', probes on the first generator's latents that
        learned the scanners of other images.
    """
    cohort, rng = sample.cohort, np.random.default_rng(0)
    each = [cohort.rows("train", [scanner])[:per_scanner] for scanner in cohort.scanners]
    training = np.concatenate(each)
    codes = cohort.codes("scanner", training)
    shuffled = [rng.permutation(codes) for _ in range(SHUFFLES)]
    hits: dict[str, dict[int, np.ndarray]] = {}
    for name, generator in generators.items():
        learned = [codes, *shuffled] if not hits else [codes]
        hits[name] = _hits(sample, generator, training, learned)
    first = next(iter(hits.values()))
    found = Measurements(sample)
    for resolution in sorted(first, reverse=True):
        measure = f"scanner_in_latents_{resolution}"
        for name, by_resolution in hits.items():
            found.add(measure, name, by_resolution[resolution][0].astype(float))
        found.add(measure, SHUFFLED, first[resolution][1:].mean(axis=0))
    return found.summary()


def _hits(
    sample: Sample, generator: Generator, training: np.ndarray, learned: Sequence[np.ndarray]
) -> dict[int, np.ndarray]:
    """Resolution to whether each probe tells each image's scanner, bool (p, n).

    The p probes learn on some training rows, each what it takes for their scanners.
    """
    cohort = sample.cohort
    z = latents(generator, cohort, training)
    step = max(1, _NUMBERS_AT_ONCE // sum(each.shape[1] for each in z.values()))
    # Latents of one resolution after another are let go of once they are learned from.
    probes = {resolution: fit_probes(z.pop(resolution), learned) for resolution in list(z)}
    hits: dict[int, list[np.ndarray]] = {resolution: [] for resolution in probes}
    for at in np.split(np.arange(len(sample.rows)), range(step, len(sample.rows), step)):
        z = latents(generator, cohort, sample.rows[at])
        for resolution, models in probes.items():
            predicted = np.stack([model.predict(z[resolution]) for model in models])
            hits[resolution].append(predicted == sample.own[at])
    return {resolution: np.concatenate(parts, axis=1) for resolution, parts in hits.items()}


@torch.inference_mode()
def latents(
    generator: Generator, cohort: Cohort, rows: np.ndarray, batch_size: int = 64
) -> dict[int, np.ndarray]:
    """Abducted latents of some images: resolution to float32 (n, D)."""
    parts: dict[int, list[np.ndarray]] = {}
    for start in range(0, len(rows), batch_size):
        chunk = rows[start : start + batch_size]
        noise = generator.hvae.abduct(*generator.observed(cohort, chunk))
        joined: dict[int, list[torch.Tensor]] = {}
        for z in noise.latents:
            joined.setdefault(z.shape[-2], []).append(z.flatten(start_dim=1))
        for resolution, blocks in joined.items():
            parts.setdefault(resolution, []).append(torch.cat(blocks, dim=1).cpu().numpy())
    return {resolution: np.concatenate(parts.pop(resolution)) for resolution in list(parts)}


def fit_probes(z: np.ndarray, learned: Sequence[np.ndarray]) -> list[LogisticRegression]:
    """Class-weighted logistic regressions on the same standardised latents.

    There are far fewer images than latents, and an L2 penalty lets no weight leave the span of the
    images: the line is found among their principal axes, by the products of all pairs of images,
    and then expressed in latents. Beside the latents only few of them are in memory as float64.

    Args:
        z: float32 latents (n, D) that they learn on; standardised in place.
        learned: codes (n,) that each of them takes for the images'.
    """
    mean, spread, products = _standardise(z)
    square, axes = np.linalg.eigh(products)
    nonzero = square > square[-1] * len(z) * _EPS
    nonzero[-1] = True  # also of latents that are all constant
    square = np.maximum(square, np.finfo(np.float64).tiny)
    length, axes = np.sqrt(square[nonzero]), axes[:, nonzero]
    models = []
    for codes in learned:
        model = LogisticRegression(C=C, class_weight="balanced", max_iter=300)
        model.fit(axes * length, codes)
        weights = (model.coef_ / length @ axes.T).astype(z.dtype) @ z
        model.coef_ = weights / spread
        model.intercept_ = model.intercept_ - model.coef_ @ mean
        model.n_features_in_ = z.shape[1]
        models.append(model)
    return models


def _standardise(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moments of every latent, which is standardised in place.

    Returns:
        Mean and spread, float64 (D,), and the products of all pairs of images, float64 (n, n).
    """
    mean, spread = np.empty(z.shape[1]), np.empty(z.shape[1])
    products = np.zeros((len(z), len(z)))
    for start in range(0, z.shape[1], _LATENTS_AT_ONCE):
        part = slice(start, start + _LATENTS_AT_ONCE)
        chunk = z[:, part].astype(np.float64)
        mean[part], spread[part] = chunk.mean(axis=0), chunk.std(axis=0)
        constant = spread[part] <= len(z) * _EPS * np.abs(mean[part])  # but for rounding
        spread[part] = np.where(constant, 1, spread[part])
        chunk = (chunk - mean[part]) / spread[part]
        products += chunk @ chunk.T
        z[:, part] = chunk
    return mean, spread, products
