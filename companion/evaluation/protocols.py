"""Evaluation of an encoder: linear probing, full finetuning, and what it knows of the scanner."""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ccl.encoders.encoder import Encoder
from companion.cohorts.cohort import Cohort
from companion.evaluation.features import extract_features
from companion.evaluation.finetuning import finetune
from companion.evaluation.labels import count_per_class
from companion.evaluation.options import FinetuningOptions, ProbingOptions
from companion.evaluation.probing import probe
from companion.evaluation.results import POOLED, RESULT_COLUMNS
from companion.evaluation.separability import separability
from companion.strategies import CONTROLS, SUPERVISED

logger = logging.getLogger(__name__)


class Evaluation(NamedTuple):
    """Tables of one encoder.

    Attributes:
        results: rows of `results.csv`.
        separability: rows of `separability.csv`.
        confusion: rows of `confusion.csv`, what test images of each scanner are taken for.
        features: float32 (N, D), of every image.
    """

    results: pd.DataFrame
    separability: pd.DataFrame
    confusion: pd.DataFrame
    features: np.ndarray


def evaluate_encoder(
    cohort: Cohort,
    encoder: Encoder,
    probing: ProbingOptions,
    finetuning: FinetuningOptions | None,
    about: Mapping[str, Any],
) -> Evaluation:
    """Tables of one encoder.

    An encoder that was not pretrained on the cohort is a control of linear probing; finetuned, it
    is the supervised baseline.

    Args:
        cohort: gives images and labels.
        encoder: is left as it is.
        probing: options of linear probing.
        finetuning: options of full finetuning, or None to leave it out.
        about: `objective`, `strategy` and `pretrain_seed` of the encoder, for the tables.
    """
    features = extract_features(encoder, cohort.images)
    linear = probe(cohort, features, probing, **about)
    known, confusion = (table.assign(**about) for table in separability(cohort, features))
    if finetuning is None:
        return Evaluation(linear, known, confusion, features)
    if about["strategy"] in CONTROLS:
        about = {**about, "strategy": SUPERVISED}
    finetuned = finetune(cohort, encoder, finetuning, **about)
    results = pd.concat([linear, finetuned], ignore_index=True)
    return Evaluation(results, known, confusion, features)


def evaluate_external(
    cohort: Cohort,
    external: Cohort,
    name: str,
    encoder: Encoder,
    probing: ProbingOptions,
    finetuning: FinetuningOptions | None,
    about: Mapping[str, Any],
) -> pd.DataFrame:
    """Rows of `results.csv` of an encoder on a cohort that it never saw, with labels of that one.

    Args:
        cohort: that the encoder was pretrained on.
        external: gives images and labels.
        name: of the external cohort, for the table.
        encoder, probing, finetuning, about: as `evaluate_encoder`'s.

    Returns:
        Rows of `results.csv`: `test_cohort` and `domain` are the external cohort, whose scanners
        count together. None, which is logged, if it has too few labelled images.

    Raises:
        ValueError: the two have images of different size.

    Source:
        CheXpert and RSNA in Roschewitz et al. 2025, Figs 3 and 5.
    """
    sizes = [of.images.shape[1:] for of in (cohort, external)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"external cohort '{name}' has images of {sizes[1]} pixels, those of cohort "
            f"'{cohort.name}' have {sizes[0]}; give both the same size in the profile"
        )
    if lacking := _lacking(external, probing):
        logger.warning("external cohort '%s' gives no figure: %s", name, lacking)
        return pd.DataFrame(columns=list(RESULT_COLUMNS))
    results = evaluate_encoder(external, encoder, probing, finetuning, about).results
    pooled = results[results["domain"] == POOLED]
    return pooled.assign(cohort=cohort.name, test_cohort=name, domain=name)


def _lacking(cohort: Cohort, options: ProbingOptions) -> str:
    """Which split of a cohort has too few images of a class to be learned from or tested on."""
    needed = {"train": options.min_per_class, "val": 1, "test": options.min_test_per_class}
    for split, least in needed.items():
        counts = count_per_class(cohort, cohort.labelled(cohort.rows(split, "pretraining")))
        if min(counts.values()) < least:
            return f"split '{split}' has {counts} images per class, which needs {least} of each"
    return ""
