import numpy as np
import pandas as pd
import pytest
import torch

from ccl.generator.bank import BankOptions, every_target
from ccl.generator.quality.effectiveness import (
    ScannerClassifierOptions,
    effectiveness,
    train_classifier,
)
from ccl.generator.quality.gold_error import gold_error, histogram_matched


@pytest.fixture(scope="module")
def classifier(phantom, tmp_path_factory):
    options = ScannerClassifierOptions(epochs=12, batch_size=20)
    return train_classifier(phantom, options, tmp_path_factory.mktemp("classifier"))


def pooled(table: pd.DataFrame, images: str) -> float:
    rows = table[(table["images"] == images) & (table["target"] == "all")]
    return float(rows["value"].item())


def truths(phantom, rows):
    return np.stack([phantom.truth(rows, {"scanner": s}) for s in phantom.scanners], axis=1)


def test_truth_is_effective_and_leaving_alone_is_not(phantom, generator, classifier):
    rows = phantom.rows("test", "pretraining")
    alone = np.repeat(phantom.images[rows][:, None], 3, axis=1)
    untrained = every_target(phantom, generator, rows, BankOptions())
    images = {"truth": truths(phantom, rows), "alone": alone, "untrained": untrained}
    table = effectiveness(phantom, rows, classifier, images)
    assert pooled(table, "real") > 0.9
    assert pooled(table, "truth") > 0.9
    assert pooled(table, "alone") < 0.1
    assert pooled(table, "untrained") < 0.6
    assert (table["ci_low"] <= table["value"]).all()
    assert (table["value"] <= table["ci_high"]).all()


def test_swapped_targets_are_not_effective(phantom, classifier):
    rows = phantom.rows("test", "pretraining")
    wrong = {"swapped": truths(phantom, rows)[:, [1, 2, 0]]}
    assert pooled(effectiveness(phantom, rows, classifier, wrong), "swapped") < 0.1


def test_gold_error_of_truth_is_zero_and_of_leaving_alone_is_not(phantom):
    rows = phantom.rows("test", "pretraining")
    true = np.stack(
        [phantom.truth(rows, {"scanner": s}, noise=False) for s in phantom.scanners], axis=1
    )
    table = gold_error(phantom, rows, true)
    means = table[table["target"] == "all"].set_index("images")["value"]
    assert means["counterfactual"] == 0
    assert means["untouched"] > means["histogram"] > 0
    directions = table[(table["images"] == "untouched") & (table["target"] != "all")]
    assert len(directions) == 6
    assert means["untouched"] == pytest.approx(directions["value"].mean())


def test_histogram_matching_gives_the_references_grey_levels():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    dark, bright = (rng.integers(low, low + 60, (5, 16, 16), dtype=np.uint8) for low in (0, 150))
    matched = histogram_matched(dark, bright)
    assert matched.min() >= 149
    assert abs(float(matched.mean()) - float(bright.mean())) < 2
