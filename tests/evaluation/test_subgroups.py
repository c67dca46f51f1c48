"""Figures of subgroups, against AUCs taken by hand, and what their gaps do by chance alone."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from companion.cohorts.cohort import Cohort
from companion.evaluation.options import ProbingOptions
from companion.evaluation.results import evaluate, evaluation_domains
from companion.evaluation.statistics import auc_replicates, roc_auc
from companion.evaluation.subgroups import gap_name, overview, subgroups
from tests.evaluation.test_probing import ABOUT, make_cohort

OPTIONS = ProbingOptions(fractions=(1.0,), seeds=(0,), n_bootstrap=100, c_grid=(0.1,))


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return make_cohort()


def scores_that_fail_on(cohort: Cohort, sex: str) -> np.ndarray:
    """Scores (N,) that know the label of everybody but one sex."""
    known = cohort.table["label"].to_numpy() * (cohort.table["sex"] != sex).to_numpy()
    return 2.0 * known + np.random.default_rng(0).normal(size=len(cohort))


def measured(cohort: Cohort, scores: np.ndarray, **options: int) -> pd.DataFrame:
    """The table of a classifier that gives these scores."""
    return evaluate(
        cohort,
        lambda rows, seed: lambda tested: scores[tested],
        OPTIONS.model_copy(update=options),
        ABOUT | {"protocol": "linear"},
    )


def test_figures_are_the_aucs_of_the_groups(cohort: Cohort) -> None:
    scores = scores_that_fail_on(cohort, "F")
    table = measured(cohort, scores).set_index(["domain", "subgroup", "metric"]).sort_index()
    for domain in ("A", "pooled", "C"):
        scanners = {"pooled": ["A", "B"]}.get(domain, [domain])
        for sex in "FM":
            rows = cohort.rows("test", scanners)
            rows = rows[(cohort.table["sex"].iloc[rows] == sex).to_numpy()]
            row = table.loc[domain, f"sex={sex}", "roc_auc"]
            assert row["value"] == roc_auc(cohort.table["label"].to_numpy()[rows], scores[rows])
            assert row["n"] == len(rows)
            assert row["ci_low"] < row["value"] < row["ci_high"]
        gap = table.loc[domain, "sex=F minus sex=M"]
        of, minus = (table.loc[domain, f"sex={sex}", "roc_auc"]["value"] for sex in "FM")
        assert gap.loc["gap", "value"] == of - minus < -0.2
        assert gap.loc["gap", "ci_high"] < 0
        assert gap.loc["absolute_gap", "value"] == minus - of
        assert 0 < gap.loc["absolute_gap", "ci_low"] < gap.loc["absolute_gap", "ci_high"]


def test_ages_are_divided_where_several_scanners_or_an_unseen_one_are_tested(
    cohort: Cohort,
) -> None:
    table = measured(cohort, scores_that_fail_on(cohort, "F"))
    aged = table[table["subgroup"].str.startswith("age=")]
    assert set(aged["domain"]) == {"pooled", "C"}
    groups = subgroups(cohort, np.arange(len(cohort)))
    age = cohort.table["age"]
    for name, inside in (
        ("age=under 45", age < 45),
        ("age=45 to 64", (age >= 45) & (age < 65)),
        ("age=65 and over", age >= 65),
    ):
        np.testing.assert_array_equal(groups[name], inside)


def test_too_small_groups_say_so_and_give_no_figure(cohort: Cohort) -> None:
    scores = scores_that_fail_on(cohort, "F")
    counts = overview(cohort, evaluation_domains(cohort, 5), 10)
    assert set(counts["figure"]) == {"yes"}
    row = counts.set_index(["domain", "subgroup"]).loc["C", "sex=F"]
    least = min(row["no"], row["yes"]) + 1
    table = measured(cohort, scores, min_subgroup_per_class=least)
    of_c = table[table["domain"] == "C"]
    assert "sex=F" not in set(of_c["subgroup"])
    assert gap_name("sex=F", "sex=M") not in set(of_c["subgroup"])
    said = overview(cohort, evaluation_domains(cohort, 5), least)
    said = said.set_index(["domain", "subgroup"]).loc["C", "sex=F"]["figure"]
    assert said.startswith(f"too few: {least - 1} with")
    assert said.endswith(f"needs {least}")


def test_who_states_neither_sex_nor_age_is_in_no_group(cohort: Cohort) -> None:
    unknown = cohort.table.assign(sex="", age=np.nan)
    nobody = dataclasses.replace(cohort, table=unknown)
    assert subgroups(nobody, np.arange(len(cohort))) == {}
    women = dataclasses.replace(cohort, table=unknown.assign(sex="F"))
    assert subgroups(women, np.arange(len(cohort))) == {}
    assert overview(nobody, evaluation_domains(nobody, 5), 10).empty


def test_the_interval_of_a_gap_covers_it() -> None:
    """Means 1 and 2 standard deviations apart: AUCs 0.760 and 0.921."""
    truth, covered = 0.7602 - 0.9214, 0
    first = np.arange(200) < 100
    for seed in range(150):
        rng = np.random.default_rng(seed)
        labels = np.tile([0, 1], 100)
        scores = rng.normal(size=200) + labels * np.where(first, 1, 2)
        drawn = auc_replicates(
            labels, [scores], np.arange(200), rng, n_bootstrap=200, groups=[first, ~first]
        )
        low, high = np.quantile(drawn[0, 0] - drawn[0, 1], [0.025, 0.975])
        covered += low <= truth <= high
    assert 0.89 <= covered / 150 <= 0.99
