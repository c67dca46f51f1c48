"""Every measure of counterfactuals, on the test images of one cohort."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ccl.generator.classifier import ImageClassifier
from ccl.generator.generator import Generator
from ccl.generator.hvae import HVAE
from ccl.seeding import seeded
from companion.cohorts.bank import Bank, BankOptions, all_counterfactuals
from companion.cohorts.cohort import Cohort, evenly, evenly_of_each
from companion.cohorts.truths import has_truth
from companion.engine.mapped import read
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
from companion.quality.nearest_training import nearest_training_image
from companion.quality.off_target import off_target
from companion.quality.options import QualityOptions
from companion.quality.realism import frechet, spectrum
from companion.quality.sample import Sample
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

    The counterfactuals are those of the bank, which pretraining uses; the generator makes those
    without pixel noise, of the sex, and round cycles.

    Returns:
        Rows of `measure`, `images` (what was measured), `source` and `target` (scanners, or 'all'),
        `value`, `ci_low`, `ci_high` (95 %, patient-level bootstrap) and `n`.
    """
    rows = np.sort(evenly_of_each(cohort, "test", options.test_images))
    tested, few = Sample(cohort, rows), Sample(cohort, evenly(rows, options.sample))
    images = {"counterfactual": read(bank.images, bank.position[rows])}
    # What a perfect generator would make: it shows what the judges themselves contribute.
    if has_truth(cohort):
        images["truth"] = tested.truth
    few_images = {kind: x[np.isin(rows, few.rows)] for kind, x in images.items()}
    # The negative control: a generator that has learned nothing must fail.
    both = {"counterfactual": generator, "untrained": untrained(generator)}
    mean = BankOptions(pixel_noise=False)
    control = {"untrained": all_counterfactuals(cohort, both["untrained"], few.rows, mean)}
    of_control = effectiveness(few, judges.scanner, control)
    tables = [
        effectiveness(tested, judges.scanner, images),
        of_control[of_control["images"] != "real"],  # which stand in the table of all images
        minimality(few, judges.scanner, few_images),
        frechet(tested, judges.scanner, images),
        spectrum(tested, images),
        nearest_training_image(tested, images),
        composition(few, {"counterfactual": generator}, options.cycles),
        composition(few, {"untrained": both["untrained"]}, (1,)),
        reversibility(few, {"counterfactual": generator}, options.cycles),
        likelihood(few, both),
        latent_probe(tested, both, options.probe_images),
    ]
    if judges.attributes is not None:
        tables.append(off_target(tested, judges.attributes, judges.targets, images))
        tables.append(off_target(few, judges.attributes, judges.targets, control))
    if "sex" in generator.parents.sizes:
        tables += _of_sex(Sample(cohort, few.rows, "sex"), generator, judges)
    if has_truth(cohort, "age"):
        tables.append(under_age(cohort, generator, few.rows))
    if has_truth(cohort):
        means = all_counterfactuals(cohort, generator, rows, mean)
        tables.append(gold_error(tested, means, images["counterfactual"]))
    return pd.concat(tables, ignore_index=True)


def _of_sex(sample: Sample, generator: Generator, judges: Judges) -> list[pd.DataFrame]:
    """Effectiveness of do(sex), what else it changes and, where it is known, distance to truth."""
    noisy, means = (
        all_counterfactuals(
            sample.cohort, generator, sample.rows, BankOptions(variable="sex", pixel_noise=noise)
        )
        for noise in (True, False)
    )
    known = has_truth(sample.cohort, "sex")
    images = {"counterfactual": noisy} | ({"truth": sample.truth} if known else {})
    tables = [off_target(sample, judges.scanner, scanner_target(sample.cohort), images)]
    if judges.attributes is not None:
        if "sex" in judges.targets.sizes:
            tables.append(effectiveness(sample, judges.attributes, images))
        tables.append(off_target(sample, judges.attributes, judges.targets, images))
    if known:
        tables.append(gold_error(sample, means, noisy))
    return tables


def untrained(generator: Generator) -> Generator:
    """A generator of the same architecture with freshly drawn weights, always the same."""
    with seeded(0, generator.device):
        hvae = HVAE(generator.hvae.options, generator.parents.sizes, *generator.hvae.frame)
    return Generator(generator.parents, hvae.to(generator.device).eval().requires_grad_(False))
