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
from companion.cohorts import truths
from companion.cohorts.bank import BankOptions, all_counterfactuals
from companion.cohorts.causes import image_parents
from companion.cohorts.cohort import Cohort
from companion.cohorts.truths import true_counterfactual
from companion.engine.mapped import read
from companion.quality.distances import mean_absolute_error
from companion.quality.summary import patient_names, summarise, values

GRAPH = {"scanner": (), "age": (), "label": ("age",), IMAGE: ("scanner", "label")}
MIDDLE = {"below 50": "45", "50 to 59": "55", "60 to 69": "65", "70 and above": "75"}  # years


def under_age(cohort: Cohort, generator: Generator, rows: np.ndarray) -> pd.DataFrame:
    """Distance of label and image under do(age) to the truth.

    Args:
        cohort: one that knows what do(age) would have done.
        generator: for the image; only of one whose graph has the age.
        rows: (n,) test rows of pretraining scanners.

    Returns:
        Rows per pair of age groups and over all: `label_under_age`, the share of patients whose
        label is the true one, with `images` = 'monotone' and 'gumbel-max' (the mechanisms),
        'untouched' and 'drawn anew'; and `gold_error_age`, mean absolute error against the
        noise-free truth in grey levels, with 'counterfactual' and 'untouched'.
    """
    groups = cohort.values("age")
    own, patients = cohort.codes("age", rows), patient_names(cohort, rows)
    source = np.array(groups, dtype=object)[own]
    labels, images = [], []
    for k, group in enumerate(groups):
        foreign = np.flatnonzero(own != k)
        if len(foreign) == 0:
            continue
        foreign_rows, do = rows[foreign], {"age": MIDDLE[group]}
        true = truths.true_labels(cohort, foreign_rows, do)
        for kind, labels_by_mechanism in _labels(cohort, foreign_rows, k).items():
            hit = (labels_by_mechanism == true).astype(float)
            labels.append(values(kind, source[foreign], group, patients[foreign], hit))
        if "age" in generator.parents.values:
            for kind, image in _images(cohort, generator, foreign_rows, k).items():
                error = mean_absolute_error(
                    image, true_counterfactual(cohort, foreign_rows, do, noise=False)
                )
                images.append(values(kind, source[foreign], group, patients[foreign], error))
    parts = [summarise("label_under_age", labels)]
    parts += [summarise("gold_error_age", images)] if images else []
    return pd.concat(parts, ignore_index=True)


def _labels(cohort: Cohort, rows: np.ndarray, age: int) -> dict[str, np.ndarray]:
    """Labels under do(age) by each mechanism, and by two that know nothing of the patient."""
    labels_by_mechanism: dict[str, np.ndarray] = {}
    for coupling in COUPLINGS:
        parents = image_parents(cohort, GRAPH, coupling)
        table, codes = parents.tables["label"], parents.codes(cohort, rows)
        new = {"age": torch.full_like(codes["age"], age)}
        labels_by_mechanism[coupling] = table.predict(
            table.abduct(codes["label"], codes), new
        ).numpy()
    draw = torch.Generator().manual_seed(age)
    labels_by_mechanism["untouched"] = codes["label"].numpy()
    labels_by_mechanism["drawn anew"] = torch.multinomial(table.given(new), 1, generator=draw)[
        :, 0
    ].numpy()
    return labels_by_mechanism


def _images(
    cohort: Cohort, generator: Generator, rows: np.ndarray, age: int
) -> dict[str, np.ndarray]:
    options = BankOptions(variable="age", pixel_noise=False)
    image = all_counterfactuals(cohort, generator, rows, options)[:, age]
    return {"untouched": read(cohort.images, rows), "counterfactual": image}
