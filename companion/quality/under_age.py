"""Causes of causes: label and image under do(age), where the simulator knows both.

The label follows the age by a table (`ccl.generator.tabular`), which says how often but not for
whom. What the mechanism says of each patient is compared with the truth, beside leaving the label
alone and drawing it anew from the patients of that age. Where the generator's own graph has the age
above the label, the image that follows from both is compared as well.
"""

import numpy as np
import pandas as pd
import torch

from ccl.generator.generator import Generator
from ccl.generator.graph import IMAGE
from ccl.generator.tabular import COUPLINGS
from companion.cohorts.bank import BankOptions, all_counterfactuals
from companion.cohorts.causes import image_parents
from companion.cohorts.cohort import Cohort
from companion.cohorts.truths import true_counterfactual, true_labels
from companion.quality.distances import mean_absolute_error
from companion.quality.sample import Measurements, Sample

GRAPH = {"scanner": (), "age": (), "label": ("age",), IMAGE: ("scanner", "label")}
MIDDLE = {"below 50": "45", "50 to 59": "55", "60 to 69": "65", "70 and above": "75"}  # years


def under_age(cohort: Cohort, generator: Generator, rows: np.ndarray) -> pd.DataFrame:
    """Distance of label and image under do(age) to the truth.

    Args:
        cohort: one that knows what do(age) would have done.
        generator: for the image, if its graph has the age.
        rows: (n,) test rows of pretraining scanners.

    Returns:
        Rows per pair of age groups and over all: `label_under_age`, the share of patients whose
        label is the true one, with `images` = 'monotone' and 'gumbel-max' (the mechanisms),
        'untouched' and 'drawn anew'; and `gold_error_age`, mean absolute error against the
        noise-free truth in grey levels, with 'counterfactual' and 'untouched'.
    """
    sample = Sample(cohort, rows, "age")
    found, options = Measurements(sample), BankOptions(variable="age", pixel_noise=False)
    for k, at in sample.interventions():
        foreign, do = rows[at], {"age": MIDDLE[sample.values[k]]}
        truth = true_labels(cohort, foreign, do)
        for kind, labels in _labels(cohort, foreign, k).items():
            found.add("label_under_age", kind, (labels == truth).astype(float), k, at)
        if "age" in generator.parents.values:
            true = true_counterfactual(cohort, foreign, do, noise=False)
            made = all_counterfactuals(cohort, generator, foreign, options)[:, k]
            for kind, images in {"untouched": sample.real[at], "counterfactual": made}.items():
                found.add("gold_error_age", kind, mean_absolute_error(images, true), k, at)
    return found.summary()


def _labels(cohort: Cohort, rows: np.ndarray, age: int) -> dict[str, np.ndarray]:
    """Labels under do(age) by each mechanism, and by two that know nothing of the patient."""
    labels: dict[str, torch.Tensor] = {}
    for coupling in COUPLINGS:
        parents = image_parents(cohort, GRAPH, coupling)
        table, codes = parents.tables["label"], parents.codes(cohort, rows)
        new = {"age": torch.full_like(codes["age"], age)}
        labels[coupling] = table.predict(table.abduct(codes["label"], codes), new)
    draw = torch.Generator().manual_seed(age)
    labels["untouched"] = codes["label"]
    labels["drawn anew"] = torch.multinomial(table.given(new), 1, generator=draw)[:, 0]
    return {kind: each.numpy() for kind, each in labels.items()}
