"""Off-target change: does do(scanner) leave sex, finding and age as they were, do(sex) the rest?

A classifier of these is asked before and after. Where it finds the attribute less often than in the
real image, the intervention has blurred it; where it finds it more often, it has amplified it, a
known failure of counterfactual generators (Xia et al. 2024, https://arxiv.org/abs/2403.09422). The
classifier itself may answer differently on another scanner: true counterfactuals, where they are
known, show by how much.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ccl.generator.classifier import AGE, UNKNOWN, ImageClassifier
from companion.quality.classifier import Targets
from companion.quality.sample import Measurements, Sample


def off_target(
    sample: Sample,
    classifier: ImageClassifier,
    targets: Targets,
    counterfactuals: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """Change of a classifier's predictions, of `targets` that were not intervened on.

    Returns:
        Per direction and over all: rows `off_target_sex` and `off_target_finding`, the share of
        images in which the stated class is seen, after minus before; `flips_sex` and
        `flips_finding`, the share in which another class is seen than before; `off_target_age`, the
        mean change of the age seen, in years. Of interventions on other variables than the scanner
        `off_target_finding_under_sex` and so on.
    """
    found = Measurements(sample)
    ending = "" if sample.variable == "scanner" else f"_under_{sample.variable}"
    names = [name for name in targets.sizes if name != sample.variable]
    stated = {name: y.numpy() for name, y in targets.codes(sample.cohort, sample.rows).items()}
    before = classifier.predict(sample.real)
    for kind, images in counterfactuals.items():
        for k, at in sample.interventions():
            after = classifier.predict(images[at, k])
            for name in names:
                old, new, label = before[name][at], after[name], stated[name][at]
                if name == AGE:
                    found.add(f"off_target_age{ending}", kind, new - old, k, at)
                    continue
                change, known = (new == label).astype(float) - (old == label), label != UNKNOWN
                found.add(f"off_target_{name}{ending}", kind, change[known], k, at[known])
                found.add(f"flips_{name}{ending}", kind, (new != old).astype(float), k, at)
    return found.summary()
