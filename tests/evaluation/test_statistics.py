import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.simulations import bootstrap_difference
from companion.evaluation.statistics import (
    _draw_patients,
    auc_replicates,
    mean_with_interval,
    percentiles,
    roc_auc,
)
from tests.oracles import roc_auc as oracle


def sample(n=60, classes=2, ties=True, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=n - classes)])
    scores = rng.normal(size=n) + labels
    return labels, scores.round(1) if ties else scores


def bootstrap_interval(labels, scores, patients, rng, *, n_bootstrap):
    """As `results.csv` has it."""
    replicates = auc_replicates(labels, [scores], patients, rng, n_bootstrap=n_bootstrap)
    return percentiles(replicates[0, 0])


@pytest.mark.parametrize("ties", [True, False])
def test_auc_is_the_share_of_pairs_ranked_rightly(ties):
    labels, scores = sample(ties=ties)
    assert roc_auc(labels, scores) == pytest.approx(oracle.roc_auc(labels, scores), rel=1e-12)
    assert roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), rel=1e-12)


def test_several_classes_are_averaged_one_against_the_rest():
    labels, _ = sample(90, classes=4)
    scores = np.random.default_rng(1).dirichlet(np.ones(4), size=90)
    expected = roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    assert roc_auc(labels, scores) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 0, 0], [1.0, 2, 3], r"per class \{0: 3, 1: 0\}"),
        ([0, 1, 2], [1.0, 2, 3], "of no other"),
        ([0, 1], [1.0, 2, 3], "do not fit"),
        ([0, 1, 1], [1.0, np.nan, 3], "1 scores are not finite"),
        ([0, 1, 1], np.ones((3, 3)), r"2: 0"),
    ],
)
def test_bad_input_is_refused(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        roc_auc(np.array(labels), np.array(scores))


def test_interval_is_the_loops():
    labels, scores = sample(40)
    patients = np.array([f"patient {i // 2}" for i in range(40)])
    names = np.unique(patients)
    drawn = names[np.random.default_rng(3).integers(20, size=(200, 20))]
    values = oracle.bootstrap(labels, scores, patients, drawn)
    interval = bootstrap_interval(
        labels, scores, patients, np.random.default_rng(3), n_bootstrap=200
    )
    assert interval == pytest.approx(np.quantile(values, [0.025, 0.975]), rel=1e-12)


def test_interval_does_not_depend_on_how_replicates_are_blocked(monkeypatch):
    labels, scores = sample(40)

    def interval():
        return bootstrap_interval(
            labels, scores, np.arange(40), np.random.default_rng(0), n_bootstrap=100
        )

    whole = interval()
    monkeypatch.setattr("companion.evaluation.statistics._BLOCK", 40 * 7)
    assert interval() == pytest.approx(whole)


def test_replicates_without_a_class_are_left_out():
    labels = np.array([0, 0, 0, 0, 0, 1])
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.5])
    low, high = bootstrap_interval(
        labels, scores, np.arange(6), np.random.default_rng(0), n_bootstrap=300
    )
    assert 0 <= low < high <= 1


def test_no_usable_replicate_is_an_error():
    with pytest.raises(ValueError, match="too few patients"):
        bootstrap_interval(
            np.array([0, 1]),
            np.array([0.0, 1.0]),
            np.array(["a", "b"]),
            np.random.default_rng(0),  # draws one of the two twice
            n_bootstrap=1,
        )


def test_groups_count_alike_in_every_replicate():
    right = np.repeat([1.0, 0.0], [200, 10])  # on all images of one group, and on none of another
    found = mean_with_interval(right, np.arange(210), np.repeat(["A", "B"], [200, 10]))
    assert found == {"value": 0.5, "ci_low": 0.5, "ci_high": 0.5, "n": 210}


def test_grouped_mean_is_the_loops():
    rng = np.random.default_rng(1)
    values, groups, patients = rng.normal(size=90), rng.integers(3, size=90), np.arange(90) // 3
    draws = _draw_patients(1000, 30, np.random.default_rng(0))[:, patients]
    means = [
        np.mean([np.average(values[groups == k], weights=w[groups == k]) for k in range(3)])
        for w in draws
    ]
    found = mean_with_interval(values, patients, groups)
    assert found["value"] == pytest.approx(np.mean([values[groups == k].mean() for k in range(3)]))
    assert [found["ci_low"], found["ci_high"]] == pytest.approx(np.quantile(means, [0.025, 0.975]))


def test_a_mean_of_more_groups_than_are_ever_drawn_together_has_no_interval():
    found = mean_with_interval(np.arange(20.0), np.arange(20), np.arange(20))
    assert (found["value"], found["n"]) == (9.5, 20)
    assert np.isnan([found["ci_low"], found["ci_high"]]).all()


# Differences on the same patients


def paired_sample(seed=0, patients=40):
    """Two score vectors that share what makes a patient hard."""
    rng = np.random.default_rng(seed)
    labels = np.arange(patients) % 2
    hard = rng.normal(size=patients)
    first, second = (labels * d + hard + 0.3 * rng.normal(size=patients) for d in (1.5, 1.0))
    return labels, first, second


def difference(labels, first, second, patients=None, n_bootstrap=200, **options):
    patients = np.arange(len(labels)) if patients is None else patients
    rng = np.random.default_rng(3)
    return bootstrap_difference(
        labels, first, second, patients, rng, n_bootstrap=n_bootstrap, **options
    )


# Of Student's t, from a table: 19 degrees of freedom
@pytest.mark.parametrize(("level", "quantile"), [(0.95, 2.0930240544), (0.5, 0.6876214602)])
def test_difference_is_the_loops(level, quantile):
    labels, first, second = paired_sample()
    patients = np.array([f"patient {i // 2}" for i in range(40)])
    drawn = np.unique(patients)[np.random.default_rng(3).integers(20, size=(200, 20))]
    values = np.subtract(
        oracle.bootstrap(labels, first, patients, drawn),
        oracle.bootstrap(labels, second, patients, drawn),
    )
    value, low, high = difference(labels, first, second, patients, level=level)
    assert value == roc_auc(labels, first) - roc_auc(labels, second)
    error = np.std(values, ddof=1) * np.sqrt(20 / 19)
    half = quantile * error
    assert (low, high) == pytest.approx((value - half, value + half), rel=1e-8)


def test_unfit_differences_are_refused():
    labels, first, second = paired_sample()
    with pytest.raises(ValueError, match="do not fit"):
        difference(labels, first, second[1:])
    with pytest.raises(ValueError, match="40 labels, 39 patients"):
        difference(labels, first, second, np.arange(39))
