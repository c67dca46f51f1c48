import dataclasses
import itertools
import logging
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from companion.cohorts.cohort import Cohort
from companion.evaluation import linear_probe
from companion.evaluation.labels import label_subset, labelled_subsets, labels_of
from companion.evaluation.linear_probe import scores_of
from companion.evaluation.options import ProbingOptions
from companion.evaluation.probing import fit_probe, probe
from companion.evaluation.results import RESULT_COLUMNS, validation_auc

OPTIONS = ProbingOptions(fractions=(0.1, 1.0), seeds=(0, 1), n_bootstrap=50, c_grid=(0.01, 1.0))
ABOUT = {"objective": "simclr", "strategy": "standard", "pretrain_seed": 7}


def make_cohort(patients=900, classes=("no", "yes"), seed=0, images_per_patient=2):
    """A cohort without pixels: two scanners in every split, a third in the test split only."""
    rng = np.random.default_rng(seed)
    n = patients * images_per_patient
    patient = np.arange(n) // images_per_patient
    split = rng.choice(["train", "val", "test"], size=patients, p=[0.5, 0.2, 0.3])[patient]
    scanner = rng.choice(["A", "B", "C"], size=n, p=[0.6, 0.2, 0.2])
    scanner[(scanner == "C") & (split != "test")] = "A"
    label = rng.integers(len(classes), size=patients)[patient]
    table = pd.DataFrame(
        {
            "image_id": [f"i{i}" for i in range(n)],
            "patient_id": [f"p{p}" for p in patient],
            "split": split,
            "scanner": scanner,
            "sex": np.array(["F", "M"])[patient % 2],
            "age": 20.0 + patient % 70,
            "label": label,
        }
    )
    info = {
        "name": "made-up",
        "scanners": ["A", "B"],
        "held_out_scanners": ["C"],
        "classes": list(classes),
    }
    return Cohort(Path("made-up"), info, np.zeros((n, 1, 1), np.uint8), table)


def with_labels(cohort, labels):
    return dataclasses.replace(cohort, table=cohort.table.assign(label=labels))


def gaussian_features(cohort, distance, dimensions=4, seed=1):
    """Normal features whose class means lie `distance` standard deviations apart."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(len(cohort), dimensions))
    features[:, 0] += distance * cohort.table["label"].to_numpy()
    return (features * 3 + 100).astype(np.float32)


def on_all_images(*arguments):
    """Results without subgroups (`test_subgroups` looks at those)."""
    results = probe(*arguments)
    return results[results["subgroup"] == "all"].reset_index(drop=True)


@pytest.fixture(scope="module")
def cohort():
    return make_cohort()


@pytest.fixture(scope="module")
def features(cohort):
    return gaussian_features(cohort, 1.5)


@pytest.fixture(scope="module")
def results(cohort, features):
    return on_all_images(cohort, features, OPTIONS, ABOUT)


def test_results_are_tidy(cohort, results):
    assert tuple(results.columns) == RESULT_COLUMNS
    assert results.notna().all(axis=None)
    assert (results["ci_low"] <= results["value"]).all()
    assert (results["value"] <= results["ci_high"]).all()
    assert set(results["domain"]) == {"A", "B", "pooled", "C"}
    constant = results[["cohort", "test_cohort", "strategy", "pretrain_seed", "protocol"]]
    assert set(constant.itertuples(index=False, name=None)) == {
        ("made-up", "made-up", "standard", 7, "linear")
    }
    assert not results.duplicated(["probe_seed", "label_fraction", "domain"]).any()
    of_seeds = results.groupby("label_fraction")["probe_seed"].unique()
    assert of_seeds.map(list).to_dict() == {0.1: [0, 1], 1.0: [0]}  # the whole set once


def test_counts_are_those_of_the_cohort(cohort, results):
    n = results.drop_duplicates("domain").set_index("domain")["n"]
    assert all(n[scanner] == len(cohort.rows("test", [scanner])) for scanner in "ABC")
    assert n["pooled"] == n["A"] + n["B"]
    whole = results.query("label_fraction == 1")["n_labels"]
    assert set(whole) == {len(cohort.rows("train", "pretraining"))}


def test_known_auc_is_reached(cohort, results):
    """Means d standard deviations apart: the best AUC is Phi(d / sqrt 2)."""
    best = 0.5 * (1 + math.erf(1.5 / 2))
    whole = results.query("label_fraction == 1").set_index("domain")["value"]
    assert whole["pooled"] == pytest.approx(best, abs=0.04)


def test_permuted_labels_give_chance(cohort, features):
    labels = np.random.default_rng(0).permutation(cohort.table["label"])
    found = on_all_images(with_labels(cohort, labels), features, OPTIONS, ABOUT)
    assert found.query("domain == 'pooled' and label_fraction == 1")["value"].item() == (
        pytest.approx(0.5, abs=0.08)
    )


def test_several_classes(caplog):
    cohort = make_cohort(classes=("a", "b", "c", "d"))
    found = on_all_images(cohort, gaussian_features(cohort, 2), OPTIONS, ABOUT)
    assert found.query("label_fraction == 1 and domain == 'pooled'")["value"].item() > 0.8


# Which labels a probe sees


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.25, 0.5])
def test_subsets_are_whole_patients_of_the_training_split_of_each_class(cohort, fraction):
    train = cohort.table.iloc[cohort.rows("train")]
    drawn = cohort.table.iloc[label_subset(cohort, fraction, 3)]
    assert set(drawn["split"]) == {"train"}
    assert cohort.table["patient_id"].isin(drawn["patient_id"]).sum() == len(drawn)
    for label in (0, 1):
        whole = train.loc[train["label"] == label, "patient_id"].nunique()
        assert drawn.loc[drawn["label"] == label, "patient_id"].nunique() == round(fraction * whole)


def test_subsets_are_nested_and_end_with_everything(cohort):
    subsets = [set(label_subset(cohort, f, 0)) for f in (0.05, 0.1, 0.25, 1.0)]
    assert all(small < large for small, large in itertools.pairwise(subsets))
    assert subsets[-1] == set(cohort.rows("train", "pretraining"))
    assert set(label_subset(cohort, 0.1, 1)) != subsets[1]


def test_unlabelled_images_are_left_out(cohort, features):
    labels = cohort.table["label"].to_numpy().copy()
    hidden = np.random.default_rng(0).permutation(len(labels))[:600]
    labels[hidden] = -1
    partly = with_labels(cohort, labels)
    assert not set(hidden) & set(label_subset(partly, 1.0, 0))
    found = on_all_images(partly, features, OPTIONS, ABOUT)
    test_rows = partly.rows("test", ["A"])
    assert set(found.query("domain == 'A'")["n"]) == {int((labels[test_rows] >= 0).sum())}


def test_too_small_fractions_are_skipped_and_logged(cohort, caplog):
    options = ProbingOptions(fractions=(0.01, 0.5), seeds=(0,))
    with caplog.at_level(logging.WARNING):
        kept = [fraction for fraction, _, _ in labelled_subsets(cohort, options)]
    assert kept == [0.5]
    assert "label fraction 0.01" in caplog.text
    fewer = options.model_copy(update={"min_per_class": 1})
    assert len(list(labelled_subsets(cohort, fewer))) == 2
    with pytest.raises(ValueError, match="no label fraction"):
        list(labelled_subsets(cohort, ProbingOptions(fractions=(0.01,))))


def test_domains_without_enough_positives_are_skipped_and_logged(cohort, features, caplog):
    labels = cohort.table["label"].to_numpy().copy()
    labels[cohort.rows("test", ["B"])] = 0
    with caplog.at_level(logging.WARNING):
        found = on_all_images(with_labels(cohort, labels), features, OPTIONS, ABOUT)
    assert set(found["domain"]) == {"A", "pooled", "C"}
    assert "test domain 'B'" in caplog.text
    with pytest.raises(ValueError, match="no test domain"):
        on_all_images(
            cohort, features, OPTIONS.model_copy(update={"min_test_per_class": 999}), ABOUT
        )


# Leakage


def test_features_of_images_outside_the_subset_do_not_matter(cohort, features):
    options = OPTIONS.model_copy(update={"fractions": (0.1,), "seeds": (0,)})
    expected = on_all_images(cohort, features, options, ABOUT)
    outside = np.setdiff1d(cohort.rows("train"), label_subset(cohort, 0.1, 0))
    disturbed = features.copy()
    disturbed[outside] = 1e6
    pd.testing.assert_frame_equal(on_all_images(cohort, disturbed, options, ABOUT), expected)


def test_test_images_do_not_reach_the_choice_of_penalty(cohort, features):
    rows, grid = label_subset(cohort, 0.1, 0), (1e-4, 1e-2, 1.0)
    expected = fit_probe(cohort, features.astype(float), rows, grid)
    test = cohort.rows("test")
    labels = cohort.table["label"].to_numpy().copy()
    labels[test] = 1 - labels[test]
    disturbed = features.astype(float)
    disturbed[test] = -1e6
    found = fit_probe(with_labels(cohort, labels), disturbed, rows, grid)
    assert found[-1].C == expected[-1].C
    np.testing.assert_array_equal(found[-1].coef_, expected[-1].coef_)


def test_penalty_is_the_best_on_validation(cohort):
    """Many useless features and few labels: a strong penalty is right."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(len(cohort), 150))
    features[:, :30] += 0.3 * cohort.table["label"].to_numpy()[:, None]
    rows = label_subset(cohort, 0.1, 0)
    grid = (10.0, 1e-2, 1e-4)
    single = {c: fit_probe(cohort, features, rows, (c,)) for c in grid}
    auc = {c: validation_auc(cohort, lambda v: scores_of(single[c], features, v)) for c in grid}  # noqa: B023
    chosen = fit_probe(cohort, features, rows, grid)
    assert auc[chosen[-1].C] == max(auc.values()) > auc[10.0]


def test_classes_are_weighted(cohort):
    """With one class rare, the decision still lies between the means."""
    labels = cohort.table["label"].to_numpy().copy()
    rare = np.random.default_rng(0).random(len(labels)) < 0.8
    labels[rare & (labels == 1)] = 0
    rare_positive = with_labels(cohort, labels)
    features = gaussian_features(rare_positive, 4.0).astype(float)
    fitted = fit_probe(rare_positive, features, rare_positive.rows("train"), (0.1,))
    tested = cohort.rows("test")
    positive = scores_of(fitted, features, tested) > 0
    found = pd.Series(positive).groupby(labels[tested]).mean()
    assert found[1] > 0.9
    assert found[0] < 0.1


@pytest.mark.parametrize("most", [0, 2**27])
def test_features_are_not_copied_as_a_whole(cohort, monkeypatch, most):
    """Of many labelled images there is one copy, in float32."""
    monkeypatch.setattr(linear_probe, "_MAX_IN_FLOAT64", most)
    monkeypatch.setattr(linear_probe, "NUMBERS_AT_ONCE", 2**18)
    many = np.random.default_rng(0).normal(size=(len(cohort), 4096)).astype(np.float32)
    kept, labelled = many.copy(), cohort.rows("train", "pretraining")[:400]
    tracemalloc.start()
    fitted = fit_probe(cohort, many, labelled, (1e-3, 1e-2))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    copy = 400 * 4096 * (8 if most else 4)
    assert peak < (1.8 if most else 1.6) * copy
    np.testing.assert_array_equal(many, kept)
    scaled = (many - many[labelled].mean(axis=0)) / many[labelled].std(axis=0)
    line = LogisticRegression(C=fitted[-1].C, class_weight="balanced", max_iter=2000)
    line.fit(scaled[labelled].astype(np.float64), labels_of(cohort, labelled))
    expected = line.decision_function(scaled.astype(np.float64))
    found = scores_of(fitted, many, np.arange(len(many)))
    np.testing.assert_allclose(found, expected, atol=1e-2)


def test_validation_without_a_class_is_an_error(cohort, features):
    labels = cohort.table["label"].to_numpy().copy()
    labels[cohort.rows("val")] = 0
    with pytest.raises(ValueError, match="validation split"):
        on_all_images(with_labels(cohort, labels), features, OPTIONS, ABOUT)
    # With a single penalty there is nothing to choose, and so nothing to ask that split.
    fit_probe(with_labels(cohort, labels), features, cohort.rows("train"), (0.1,))


def test_features_of_another_cohort_are_refused(cohort, features):
    with pytest.raises(ValueError, match="a row for each"):
        on_all_images(cohort, features[:-1], OPTIONS, ABOUT)


def test_options_reach_the_table(cohort, features, results):
    def changed(**values):
        return on_all_images(cohort, features, OPTIONS.model_copy(update=values), ABOUT)

    assert set(changed(fractions=(0.2,))["label_fraction"]) == {0.2}
    assert set(changed(fractions=(0.1,), seeds=(5,))["probe_seed"]) == {5}
    assert not np.allclose(changed(n_bootstrap=20)["ci_low"], results["ci_low"])
    assert not np.allclose(changed(c_grid=(1e-7,))["value"], results["value"])
