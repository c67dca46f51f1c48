"""Intervals hold what they promise; `repetitions` and replicates are those of a fast version."""

import numpy as np
import pytest

from benchmarks import simulations
from benchmarks.simulations import (
    bootstrap_difference,
    claim_verdicts,
    paired_bootstrap,
    seed_intervals,
)
from companion.claims.judging import Verdict


@pytest.mark.parametrize(("truth", "seeds"), [(0.0, 2), (0.02, 3), (0.0, 5)])
def test_seed_intervals_cover(truth: float, seeds: int) -> None:
    found = seed_intervals(truth, seeds=seeds)
    assert found.repetitions == 500
    assert 0.93 <= found.covered <= 0.97
    if truth == 0:
        assert found.excluded_zero == pytest.approx(1 - found.covered)


@pytest.mark.parametrize("better", [1.0, 1.4])
def test_paired_bootstrap_covers(better: float) -> None:
    found = paired_bootstrap((better, 1.0), patients=120, n_bootstrap=100, repetitions=300)
    assert 0.92 <= found.covered <= 0.97
    assert found.excluded_zero > 0.3 if better > 1 else found.excluded_zero <= 0.07


def test_normal_intervals_over_three_seeds_would_not_cover(monkeypatch) -> None:
    """The simulation notices a wrong interval: 1.96 standard errors cover only 81 %."""
    monkeypatch.setattr("companion.claims.estimates.stats.t.ppf", lambda q, df: 1.96)
    assert seed_intervals(0.0).covered < 0.87


def test_images_taken_for_patients_would_not_cover(monkeypatch) -> None:
    def per_image(labels, one, other, owner, rng, *, n_bootstrap):
        apart = np.arange(len(labels))
        return bootstrap_difference(labels, one, other, apart, rng, n_bootstrap=n_bootstrap)

    few = {"patients": 60, "images": 6, "n_bootstrap": 100, "repetitions": 150}
    together = paired_bootstrap((1.0, 1.0), **few)
    monkeypatch.setattr(simulations, "bootstrap_difference", per_image)
    assert paired_bootstrap((1.0, 1.0), **few).covered < together.covered - 0.1


def test_effects_are_called_what_they_are() -> None:
    none = claim_verdicts((0.0, 0.0, 0.0, 0.0), repetitions=200)
    assert none[Verdict.supported] + none[Verdict.contradicted] <= 0.05
    few = {"repetitions": 100}
    assert claim_verdicts((0.1, 0.1), **few)[Verdict.supported] > 0.9
    assert claim_verdicts((-0.1, 0.1), **few)[Verdict.contradicted] > 0.9
    assert claim_verdicts((0.0, 0.1), **few)[Verdict.supported] <= 0.05


def test_the_book_s_tables_hold_every_kind_of_interval() -> None:
    table = simulations.coverage(repetitions=300, slow_repetitions=4)
    assert list(table["repetitions"]) == [300] * 6 + [4] * 2
    assert table["covered"].iloc[:6].between(0.9, 1).all()
    assert table["called an effect"].iloc[0] < 0.1 < table["called an effect"].iloc[5]
    shares = simulations.verdicts(repetitions=40).set_index("truth")
    assert shares.sum(axis=1).eq(1).all()
    assert shares["supported"].idxmax() == "one test, the claimed effect"
    assert shares["contradicted"].idxmax() == "four tests, the opposite in one"
