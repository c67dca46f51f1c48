"""How good counterfactuals are, one measure per file."""

import numpy as np
import pandas as pd

from ccl.cohorts import Cohort
from ccl.generator.bank import Bank, BankOptions, every_target
from ccl.generator.generator import Generator
from ccl.generator.hvae import HVAE
from ccl.generator.quality.effectiveness import ScannerClassifier, effectiveness
from ccl.generator.quality.gold_error import gold_error

__all__ = ["ScannerClassifier", "effectiveness", "gold_error", "measure"]


def measure(
    cohort: Cohort, generator: Generator, bank: Bank, classifier: ScannerClassifier
) -> pd.DataFrame:
    """Every measure on the test images of the pretraining scanners.

    Args:
        cohort: real images.
        generator: to make counterfactuals without pixel noise, for the gold error.
        bank: the counterfactuals that pretraining uses.
        classifier: tells scanners of real images apart.

    Returns:
        Rows of `measure`, `images` (what was measured), `source` and `target` (scanners, or 'all'),
        `value`, `ci_low`, `ci_high` (95 %, patient-level bootstrap) and `n`.
    """
    rows = cohort.rows("test", "pretraining")
    controls = BankOptions(pixel_noise=False)
    images = {
        "counterfactual": np.asarray(bank.images[bank.position[rows]]),
        # The negative control: a generator that has learned nothing must fail.
        "untrained": every_target(cohort, untrained(generator), rows, controls),
    }
    tables = [effectiveness(cohort, rows, classifier, images)]
    if cohort.has_truth:
        means = every_target(cohort, generator, rows, controls)
        tables.append(gold_error(cohort, rows, means))
    return pd.concat(tables, ignore_index=True)


def untrained(generator: Generator) -> Generator:
    """A generator of the same architecture with freshly drawn weights."""
    hvae = HVAE(generator.hvae.options, generator.parents.sizes, *generator.hvae.frame)
    return Generator(generator.parents, hvae.eval().requires_grad_(False))
