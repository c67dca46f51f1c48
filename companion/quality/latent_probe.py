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
from companion.quality.summary import patient_names, scanner_names, summarise, values

C = 1e-2  # inverse strength of the L2 penalty: there are more latents than images
_LATENTS_AT_ONCE = 2**13  # of training images, in float64
_NUMBERS_AT_ONCE = 2**26  # of the latents of test images; at 224 pixels an image has 700,000
_EPS = float(np.finfo(np.float64).eps)
SHUFFLED = "shuffled"
SHUFFLES = 4  # of the negative control: where scanners lie apart, one by itself may hit by chance


def latent_probe(
    cohort: Cohort, generators: Mapping[str, Generator], rows: np.ndarray, per_scanner: int
) -> pd.DataFrame:
    """Balanced accuracy of linear probes for the scanner, per resolution of the latents.

    Args:
        cohort: real images; probes learn on its training images.
        generators: name to generator, in `images` of the result.
        rows: (n,) test rows of pretraining scanners.
        per_scanner: training images of each scanner, at most.

    Returns:
        Rows `scanner_in_latents_R` of resolution R per scanner (`source` and `target`) and over all
        scanners, each counted alike: 1 is all of the scanner, one over their number is chance.
        Beside them the negative control 'shuffled', probes on the first generator's latents that
        learned the scanners of other images.
    """
    training = _evenly(cohort, per_scanner)
    training_codes, rng = cohort.codes("scanner", training), np.random.default_rng(0)
    scanner, patients = scanner_names(cohort, rows), patient_names(cohort, rows)
    targets = {name: {name: [training_codes]} for name in generators}
    targets[next(iter(generators))][SHUFFLED] = [
        rng.permutation(training_codes) for _ in range(SHUFFLES)
    ]
    hits: dict[str, dict[int, np.ndarray]] = {}
    for name, generator in generators.items():
        hits |= _hit_rates(cohort, generator, training, rows, targets[name])
    by_resolution: dict[int, list[pd.DataFrame]] = {}
    for name in (*generators, SHUFFLED):
        for resolution, x in hits[name].items():
            table = values(name, scanner, scanner, patients, x)
            by_resolution.setdefault(resolution, []).append(table)
    parts = [
        summarise(f"scanner_in_latents_{r}", by_resolution[r])
        for r in sorted(by_resolution, reverse=True)
    ]
    return pd.concat(parts, ignore_index=True)


def _hit_rates(
    cohort: Cohort,
    generator: Generator,
    training: np.ndarray,
    rows: np.ndarray,
    targets: Mapping[str, Sequence[np.ndarray]],
) -> dict[str, dict[int, np.ndarray]]:
    """Share of probes that tell each row's scanner, (n,), by their targets and resolution.

    Args:
        cohort, generator: give the latents.
        training: rows that probes learn on.
        rows: (n,) that they are tested on.
        targets: name to the scanners' codes that each of its probes takes for the training rows'.
    """
    training_latents = latents(generator, cohort, training)
    chunk_size = max(1, _NUMBERS_AT_ONCE // sum(z.shape[1] for z in training_latents.values()))
    # Latents of one resolution after another are let go of once they are learned from.
    probes = {
        resolution: _Probes(training_latents.pop(resolution), targets)
        for resolution in list(training_latents)
    }
    by_resolution: dict[str, dict[int, list[np.ndarray]]] = {
        name: {resolution: [] for resolution in probes} for name in targets
    }
    for part in np.split(rows, range(chunk_size, len(rows), chunk_size)):
        truth, z = cohort.codes("scanner", part), latents(generator, cohort, part)
        for resolution, each in probes.items():
            for name, predictions in each.predict(z[resolution]).items():
                by_resolution[name][resolution].append(
                    np.mean([codes == truth for codes in predictions], axis=0)
                )
    return {
        name: {resolution: np.concatenate(x) for resolution, x in parts.items()}
        for name, parts in by_resolution.items()
    }


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


class _Probes:
    """Class-weighted logistic regressions on the same standardised latents.

    There are far fewer images than latents, and an L2 penalty lets no weight leave the span of the
    images: the line is found among their principal axes, by the products of all pairs of images,
    and then expressed in latents. Beside the latents only few of them are in memory as float64.

    Args:
        z: float32 latents (n, D) that they learn on; standardised in place.
        targets: name to the codes (n,) that each of its probes takes for the images'.
    """

    def __init__(self, z: np.ndarray, targets: Mapping[str, Sequence[np.ndarray]]) -> None:
        mean, spread, products = _standardise(z)
        square, axes = np.linalg.eigh(products)
        nonzero = square > square[-1] * len(z) * _EPS
        nonzero[-1] = True  # also of latents that are all constant
        square = np.maximum(square, np.finfo(np.float64).tiny)
        length, axes = np.sqrt(square[nonzero]), axes[:, nonzero]

        def to_latent_space(model: LogisticRegression) -> LogisticRegression:
            weights = (model.coef_ / length @ axes.T).astype(z.dtype) @ z
            model.coef_ = weights / spread
            model.intercept_ = model.intercept_ - model.coef_ @ mean
            model.n_features_in_ = z.shape[1]
            return model

        self.models = {
            name: [
                to_latent_space(_logistic_regression().fit(axes * length, each)) for each in codes
            ]
            for name, codes in targets.items()
        }

    def predict(self, z: np.ndarray) -> dict[str, list[np.ndarray]]:
        """Name to the predictions (m,) of each of its probes for latents (m, D)."""
        return {
            name: [model.predict(z) for model in models] for name, models in self.models.items()
        }


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


def _logistic_regression() -> LogisticRegression:
    return LogisticRegression(C=C, class_weight="balanced", max_iter=300)


def _evenly(cohort: Cohort, per_scanner: int) -> np.ndarray:
    """Training rows, equally many of every scanner as far as there are."""
    chosen = [cohort.rows("train", [scanner])[:per_scanner] for scanner in cohort.scanners]
    return np.concatenate(chosen)
