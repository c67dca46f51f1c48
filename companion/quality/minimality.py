"""Minimality: how much of the change was needed?

An image is moved to its counterfactual in equal steps, x + a (x' - x). The smallest share a in
(0, 1] at which the scanner classifier sees the target, and keeps seeing it up to a = 1, is what it
needed. A minimal intervention needs all of its change: 1. One that overshoots needs less.

The definition is ours; as Pearl's counterfactuals change no more than the intervention asks for, so
their images should not. It counts successful counterfactuals only (see effectiveness for how many
succeed), and judges with a classifier, which may need less than a radiologist: on simulated images
the value of the true counterfactual stands beside it.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ccl.generator.classifier import ImageClassifier
from companion.quality.sample import Measurements, Sample

STEPS = 10


def minimality(
    sample: Sample, classifier: ImageClassifier, counterfactuals: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Smallest share of the change that a scanner classifier needs; 1 is minimal.

    Returns:
        Rows `minimality` per direction and over all. Images whose counterfactual fails, or that are
        taken for the target before any change, do not count.
    """
    found = Measurements(sample)
    for kind, images in counterfactuals.items():
        for k, at in sample.interventions():
            needed = needed_share(sample.real[at], images[at, k], classifier, k)
            succeeded = np.isfinite(needed)
            found.add("minimality", kind, needed[succeeded], k, at[succeeded])
    return found.summary()


def needed_share(
    real: np.ndarray, changed: np.ndarray, classifier: ImageClassifier, target: int
) -> np.ndarray:
    """Needed share (n,) of the change between two uint8 (n, H, W), NaN where none is."""
    shares = np.arange(STEPS + 1) / STEPS
    difference = changed.astype(np.float32) - real
    is_target = np.stack(
        [
            classifier.predict(np.rint(real + a * difference).astype(np.uint8))["scanner"] == target
            for a in shares
        ]
    )  # (STEPS + 1, n)
    # At this step and at every later one.
    stays = np.logical_and.accumulate(is_target[::-1])[::-1]
    first = np.where(stays.any(axis=0), stays.argmax(axis=0), 0)
    return np.where(first > 0, shares[first], np.nan)
