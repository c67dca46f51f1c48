import dataclasses

import numpy as np
import pytest

from companion.evaluation.probing import probe
from companion.evaluation.scores import KEYS, Scores, load, paired_gain
from companion.evaluation.statistics import bootstrap_difference
from tests.evaluation.test_probing import ABOUT, OPTIONS, gaussian_features, make_cohort

POINT = {"label_fraction": 1.0, "probe_seed": 0}


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(300)


@pytest.fixture(scope="module")
def probed(cohort, tmp_path_factory):
    """Results and stored scores of a weaker and a better encoder."""
    scores, file = Scores(), tmp_path_factory.mktemp("scores") / "scores.parquet"
    found = {
        strategy: probe(
            cohort,
            gaussian_features(cohort, distance, seed=3),
            OPTIONS,
            **(ABOUT | {"strategy": strategy}),
            collected=scores,
        )
        for strategy, distance in (("standard", 0.5), ("counterfactual", 2.0))
    }
    scores.save(file)
    return found, load(file), file


def test_stored_scores_give_the_figures_of_the_table(cohort, probed) -> None:
    results, scores, _ = probed
    assert len(scores) == 2 * 3  # two encoders; two subsets of a tenth, one of all
    gain, _, _ = paired_gain(
        scores,
        cohort,
        POINT | {"strategy": "counterfactual"},
        POINT | {"strategy": "standard"},
        ["A", "B"],
        n_bootstrap=10,
    )
    point = "label_fraction == 1 and domain == 'pooled' and subgroup == 'all'"
    expected = [results[name].query(point)["value"].item() for name in results]
    assert gain == pytest.approx(expected[1] - expected[0], abs=1e-5)  # float32


def test_probing_is_the_same_with_and_without_storing(cohort, probed) -> None:
    again = probe(cohort, gaussian_features(cohort, 0.5, seed=3), OPTIONS, **ABOUT)
    np.testing.assert_array_equal(again["value"], probed[0]["standard"]["value"])


def test_each_test_image_is_stored_once_and_the_file_is_small(cohort, probed) -> None:
    _, scores, file = probed
    assert set(scores.columns) == {*KEYS, "rows", "scores"}
    assert all(np.array_equal(rows, cohort.rows("test")) for rows in scores["rows"])
    per_score = file.stat().st_size / (len(scores) * len(cohort.rows("test")))
    assert per_score < 12  # of which the file's own description is most, at this size


def test_the_gain_is_the_paired_bootstraps(cohort, probed) -> None:
    _, scores, _ = probed
    keys = [POINT | {"strategy": name} for name in ("counterfactual", "standard")]
    gain, low, high = paired_gain(scores, cohort, *keys, ["A"], n_bootstrap=200)
    rows = cohort.rows("test", ["A"])
    where = np.searchsorted(cohort.rows("test"), rows)
    picked = scores[scores["label_fraction"] == 1].set_index("strategy")["scores"]
    assert (gain, low, high) == bootstrap_difference(
        cohort.table["label"].to_numpy()[rows],
        picked["counterfactual"][where],
        picked["standard"][where],
        cohort.table["patient_id"].to_numpy()[rows],
        np.random.default_rng(0),
        n_bootstrap=200,
    )
    assert 0 < low < gain < high


def test_several_classes_come_back_in_columns(tmp_path) -> None:
    cohort = make_cohort(200, classes=("a", "b", "c"))
    rows = cohort.rows("test")
    right = np.eye(3)[cohort.table["label"].to_numpy()[rows]]
    kept = Scores()
    about = dict.fromkeys(KEYS, 0)
    kept.keep(about | {"strategy": "right"}, rows, right)
    kept.keep(about | {"strategy": "wrong"}, rows, 1 - right)
    kept.save(tmp_path / "scores.parquet")
    keys = {"strategy": "right"}, {"strategy": "wrong"}
    found = paired_gain(load(tmp_path / "scores.parquet"), cohort, *keys, ["A"], n_bootstrap=5)
    assert found == (1, 1, 1)


def test_what_is_not_one_probe_is_refused(cohort, probed) -> None:
    _, scores, _ = probed
    one = POINT | {"strategy": "standard"}
    with pytest.raises(ValueError, match="picks 3 of 6 probes"):
        paired_gain(scores, cohort, one, {"strategy": "counterfactual"}, ["A"])
    with pytest.raises(ValueError, match="picks 0 of 6"):
        paired_gain(scores, cohort, one, {"strategy": "oracle"}, ["A"])
    with pytest.raises(ValueError, match=r"of the scanners \['Z'\]"):
        paired_gain(scores, cohort, one, POINT | {"strategy": "counterfactual"}, ["Z"])
    moved = scores.copy()
    moved["rows"] = [rows + i for i, rows in enumerate(moved["rows"])]
    with pytest.raises(ValueError, match="different test images"):
        paired_gain(moved, cohort, one, POINT | {"strategy": "counterfactual"}, ["A"])


def test_bad_scores_are_refused(tmp_path) -> None:
    about = dict.fromkeys(KEYS, 0)
    with pytest.raises(ValueError, match=r"without \['protocol'\]"):
        Scores().keep({k: 0 for k in KEYS if k != "protocol"}, np.arange(2), np.zeros(2))
    with pytest.raises(ValueError, match="one score for each"):
        Scores().keep(about, np.arange(2), np.zeros(3))
    with pytest.raises(ValueError, match="one score for each"):
        Scores().keep(about, np.array([1, 1]), np.zeros(2))
    kept = Scores()
    kept.keep(about, np.arange(2), np.zeros(2))
    broken = [{k: v for k, v in probe.items() if k != "rows"} for probe in kept.probes]
    dataclasses.replace(kept, probes=broken).save(tmp_path / "s.parquet")
    with pytest.raises(ValueError, match=r"s.parquet: columns \['rows'\] are missing"):
        load(tmp_path / "s.parquet")
