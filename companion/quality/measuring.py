"""How good counterfactuals are, one measure per file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ccl.generator.classifier import ImageClassifier
from ccl.generator.generator import Generator
from ccl.generator.hvae import HVAE
from ccl.seeding import seeded
from companion.cohorts.bank import Bank, BankOptions, all_counterfactuals
from companion.cohorts.cohort import Cohort, evenly
from companion.cohorts.truths import has_truth, true_counterfactual
from companion.engine.mapped import read
from companion.quality.abduction import abduction, scanner_noise
from companion.quality.classifier import (
    Targets,
    attribute_targets,
    scanner_target,
    train_classifier,
)
from companion.quality.cycles import composition, reversibility
from companion.quality.effectiveness import effectiveness
from companion.quality.gold_error import gold_error
from companion.quality.latent_probe import latent_probe
from companion.quality.likelihood import likelihood
from companion.quality.minimality import minimality
from companion.quality.off_target import off_target
from companion.quality.options import QualityOptions
from companion.quality.realism import nearest_training_image, realism
from companion.quality.spectrum import spectrum
from companion.quality.under_age import under_age


@dataclass(frozen=True)
class Judges:
    """Classifiers of real images.

    Attributes:
        scanner: tells the scanner.
        attributes: tells `targets`, or None where the cohort states none.
        targets: sex, finding and age, as far as the cohort states them.
    """

    scanner: ImageClassifier
    attributes: ImageClassifier | None
    targets: Targets


def train_judges(cohort: Cohort, options: QualityOptions, folder: Path) -> Judges:
    """Both classifiers, trained on real training images; `folder` is for their checkpoints."""
    scanner = train_classifier(
        cohort, scanner_target(cohort), options.classifier, folder / "scanner"
    )
    targets = attribute_targets(cohort)
    attributes = None
    if targets.sizes:
        # Another seed, so that the two do not err on the same images.
        other = options.classifier.model_copy(update={"seed": options.classifier.seed + 1})
        attributes = train_classifier(cohort, targets, other, folder / "attributes")
    return Judges(scanner, attributes, targets)


def measure(
    cohort: Cohort, generator: Generator, bank: Bank, judges: Judges, options: QualityOptions
) -> pd.DataFrame:
    """Every measure on test images of the pretraining scanners, which are held in memory.

    Args:
        cohort: real images.
        generator: to make counterfactuals without pixel noise, of the sex, and round cycles.
        bank: the counterfactuals that pretraining uses.
        judges: classifiers of real images.
        options: how much to measure.

    Returns:
        Rows of `measure`, `images` (what was measured), `source` and `target` (scanners, or 'all'),
        `value`, `ci_low`, `ci_high` (95 %, patient-level bootstrap) and `n`.
    """
    rows = _test_rows(cohort, options.test_images)
    sample = evenly(rows, options.sample)
    bank_images = read(bank.images, bank.position[rows])
    images = {"counterfactual": bank_images}
    # What a perfect generator would make: it shows what the judges themselves contribute.
    if has_truth(cohort):
        true = [
            true_counterfactual(cohort, rows, {"scanner": scanner}) for scanner in cohort.scanners
        ]
        images["truth"] = np.stack(true, axis=1)
    sample_images = {kind: x[np.isin(rows, sample)] for kind, x in images.items()}
    # The negative control: a generator that has learned nothing must fail.
    untrained_generator = untrained(generator)
    mean = BankOptions(pixel_noise=False)
    untrained_images = {"untrained": all_counterfactuals(cohort, untrained_generator, sample, mean)}
    tables = [
        effectiveness(cohort, rows, judges.scanner, images),
        _control(effectiveness(cohort, sample, judges.scanner, untrained_images)),
        minimality(cohort, sample, judges.scanner, sample_images),
        realism(cohort, rows, judges.scanner, images),
        spectrum(cohort, rows, images),
        nearest_training_image(cohort, rows, images),
        composition(cohort, {"counterfactual": generator}, sample, options.cycles),
        composition(cohort, {"untrained": untrained_generator}, sample, (1,)),
        reversibility(cohort, {"counterfactual": generator}, sample, options.cycles),
        likelihood(cohort, {"counterfactual": generator, "untrained": untrained_generator}, sample),
        latent_probe(
            cohort,
            {"counterfactual": generator, "untrained": untrained_generator},
            rows,
            options.probe_images,
        ),
    ]
    if judges.attributes is not None:
        judge, targets = judges.attributes, judges.targets
        tables.append(off_target(cohort, rows, judge, targets, images))
        tables.append(off_target(cohort, sample, judge, targets, untrained_images))
    if "sex" in generator.parents.sizes:
        tables += _of_sex(cohort, generator, judges, sample)
    if has_truth(cohort, "age"):
        tables.append(under_age(cohort, generator, sample))
    if has_truth(cohort):
        means = all_counterfactuals(cohort, generator, rows, mean)
        tables.append(gold_error(cohort, rows, means, bank_images))
    return pd.concat(tables, ignore_index=True)


def _test_rows(cohort: Cohort, most: int) -> np.ndarray:
    """Test rows, of each pretraining scanner at most so many, evenly taken."""
    each = [evenly(cohort.rows("test", [scanner]), most) for scanner in cohort.scanners]
    return np.sort(np.concatenate(each))


def compare_abduction(
    cohort: Cohort, generator: Generator, judges: Judges, options: QualityOptions
) -> pd.DataFrame:
    """Measures of other ways of abduction, on validation images; see `quality.abduction`."""
    rows = evenly(cohort.rows("val", "pretraining"), options.sample)
    noise = scanner_noise(cohort, generator, options.calibration_images)
    return abduction(cohort, generator, judges.scanner, rows, noise)


def _of_sex(
    cohort: Cohort, generator: Generator, judges: Judges, rows: np.ndarray
) -> list[pd.DataFrame]:
    """Effectiveness of do(sex) and, where it is known, distance to its truth."""
    counterfactuals, means = (
        all_counterfactuals(cohort, generator, rows, BankOptions(variable="sex", pixel_noise=noise))
        for noise in (True, False)
    )
    tables = []
    if judges.attributes is not None and "sex" in judges.targets.sizes:
        images = {"counterfactual": counterfactuals}
        tables.append(effectiveness(cohort, rows, judges.attributes, images, variable="sex"))
    if has_truth(cohort, "sex"):
        tables.append(gold_error(cohort, rows, means, counterfactuals, variable="sex"))
    return tables


def _control(table: pd.DataFrame) -> pd.DataFrame:
    """Without the rows of real images, which stand in the table of all rows."""
    return table[table["images"] != "real"]


def untrained(generator: Generator) -> Generator:
    """A generator of the same architecture with freshly drawn weights, always the same."""
    with seeded(0, generator.device):
        hvae = HVAE(generator.hvae.options, generator.parents.sizes, *generator.hvae.frame)
    return Generator(generator.parents, hvae.to(generator.device).eval().requires_grad_(False))
