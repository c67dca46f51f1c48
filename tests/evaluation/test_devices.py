"""Features and finetuning on another device than the CPU: the same results."""

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest

from ccl.pairs import Pairs
from ccl.views.options import AugmentOptions
from companion.evaluation.features import extract_features
from companion.evaluation.finetuning import finetune
from companion.evaluation.options import FinetuningAugmentOptions
from companion.evaluation.pair_similarity import pair_similarity
from tests.evaluation.test_finetuning import ABOUT, SHORT, new_encoder, striped_cohort
from tests.pretend_device import on_both

CHANGED = FinetuningAugmentOptions(
    **{name: 1 for name in FinetuningAugmentOptions.model_fields if "probability" in name}
)


@pytest.fixture(scope="module")
def cohort():
    return striped_cohort(patients=10)


def test_features(cohort, device):
    encoder, few = new_encoder().train(), cohort.images[:10]
    found = on_both(lambda there: extract_features(encoder.to(there), few))
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_finetuning(device):
    cohort, encoder = striped_cohort(patients=100, classes=("no", "some", "much")), new_encoder()
    options = SHORT.model_copy(update={"augment": CHANGED, "epochs": 1})
    found = on_both(lambda there: finetune(cohort, deepcopy(encoder).to(there), options, ABOUT))
    pd.testing.assert_frame_equal(*found, atol=0.02, rtol=0)


def test_pair_similarity(cohort, device):
    pairs, rows, encoder = Pairs("standard", cohort.images, None), np.arange(8), new_encoder()
    here, there = on_both(
        lambda place: pair_similarity(encoder.to(place), pairs, rows, rows, AugmentOptions())
    )
    assert here == pytest.approx(there, abs=1e-4)
