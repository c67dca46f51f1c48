"""Ablation of abduction: the same weights, other ways to carry an image's noise over.

None of these variants needs training anew. They are compared on validation images, since a way is
chosen by them.
"""

from collections.abc import Mapping
from copy import deepcopy

import pandas as pd

from ccl.generator.batches import WeightedBatches
from ccl.generator.classifier import ImageClassifier
from ccl.generator.generator import Generator
from ccl.generator.hvae_options import HVAEOptions
from ccl.generator.pixel_noise import PixelNoise
from companion.cohorts.bank import BankOptions, all_counterfactuals
from companion.cohorts.cohort import Cohort, evenly, evenly_of_each
from companion.cohorts.truths import has_truth
from companion.quality.cycles import DISTANCES, reversibility
from companion.quality.effectiveness import effectiveness
from companion.quality.gold_error import gold_error
from companion.quality.options import QualityOptions
from companion.quality.sample import Sample
from companion.quality.summary import ALL

PAPER = {"abduct": "latent", "pixel_noise": "fixed", "posterior_share": 1.0}
VARIANTS: Mapping[str, Mapping[str, object]] = {
    "the paper's": {},
    "noise follows the scanner": {"pixel_noise": "scanner"},
    "latent noise kept": {"abduct": "noise"},
    "both": {"abduct": "noise", "pixel_noise": "scanner"},
    "alpha .75": {"posterior_share": 0.75},
    "alpha .5": {"posterior_share": 0.5},
}


def abduction(
    cohort: Cohort, generator: Generator, judge: ImageClassifier, options: QualityOptions
) -> pd.DataFrame:
    """Measures of every variant on validation images, averaged over all directions.

    Returns:
        Rows as of `quality.csv` ('all' to 'all'), the variant in `images`: `effectiveness` by a
        judge of the scanner, `reversibility_l1` after one journey and, where the truth is known,
        those of `gold_error`.
    """
    rows = evenly(cohort.rows("val", "pretraining"), options.sample)
    noise = scanner_noise(cohort, generator, options.calibration_images)
    sample, tables, l1 = Sample(cohort, rows), [], {"l1": DISTANCES["l1"]}
    for name, changes in VARIANTS.items():
        changed = variant(generator, changes, noise)
        noisy = all_counterfactuals(cohort, changed, rows, BankOptions())
        found = [
            effectiveness(sample, judge, {name: noisy}),
            reversibility(sample, {name: changed}, (1,), l1),
        ]
        if has_truth(cohort):
            means = all_counterfactuals(cohort, changed, rows, BankOptions(pixel_noise=False))
            found.append(gold_error(sample, means, noisy, compared=False))
        for table in found:
            pooled = table[(table["source"] == ALL) & (table["target"] == ALL)]
            mine = pooled["images"].isin([name, f"{name}, 1 cycle", "counterfactual"])
            tables.append(pooled[mine].assign(images=name))
    measured = pd.concat(tables, ignore_index=True)
    return measured[measured["measure"] != "effectiveness_uniform"].reset_index(drop=True)


def scanner_noise(cohort: Cohort, generator: Generator, most: int) -> PixelNoise:
    """The pixel noise of each scanner, measured on at most so many training images."""
    hvae = deepcopy(generator.hvae)
    noise = PixelNoise("scanner", hvae.options.pixel_scale, len(cohort.scanners))
    hvae.pixel_noise = noise.to(generator.device)
    training = evenly_of_each(cohort, "train", max(1, most // len(cohort.scanners)))
    together = min(64, len(training))  # a batch is always full, by drawing images again
    batches = WeightedBatches(cohort, generator.parents, training, together, 1.0, seed=0)
    hvae.calibrate_noise(batches.epoch(0))
    return hvae.pixel_noise


def variant(generator: Generator, changes: Mapping[str, object], noise: PixelNoise) -> Generator:
    """The same weights with one of `VARIANTS`; the noise is for where it follows the scanner."""
    hvae = deepcopy(generator.hvae)
    options = {**hvae.options.model_dump(), **PAPER, **changes}
    hvae.options = HVAEOptions.model_validate(options)
    fixed = PixelNoise("fixed", hvae.options.pixel_scale, 1)
    hvae.pixel_noise = noise if hvae.options.pixel_noise == "scanner" else fixed
    return Generator(generator.parents, hvae)
