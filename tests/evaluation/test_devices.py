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
from tests.pretend_device import pretend_device

CHANGED = FinetuningAugmentOptions(
    **{name: 1 for name in FinetuningAugmentOptions.model_fields if "probability" in name}
)


@pytest.fixture
def device():
    with pretend_device() as device:
        yield device


@pytest.fixture(scope="module")
def cohort():
    return striped_cohort(patients=100)


def test_features(cohort, device):
    encoder = new_encoder().train()
    here = extract_features(encoder, cohort.images)
    there = extract_features(encoder.to(device), cohort.images)
    np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("classes", [("no", "yes"), ("no", "some", "much")])
def test_finetuning(device, classes):
    cohort, encoder = striped_cohort(patients=100, classes=classes), new_encoder()
    options = SHORT.model_copy(update={"augment": CHANGED, "epochs": 1})
    here = finetune(cohort, encoder, options, **ABOUT)
    there = finetune(cohort, deepcopy(encoder).to(device), options, **ABOUT)
    pd.testing.assert_frame_equal(here, there, atol=0.02, rtol=0)


def test_pair_similarity(cohort, device):
    pairs, rows = Pairs("standard", cohort.images, None), np.arange(20)
    encoder = new_encoder()
    here = pair_similarity(encoder, pairs, rows, rows, AugmentOptions())
    there = pair_similarity(encoder.to(device), pairs, rows, rows, AugmentOptions())
    assert here == pytest.approx(there, abs=1e-4)
