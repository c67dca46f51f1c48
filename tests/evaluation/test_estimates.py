import math

import numpy as np
import pytest
from scipy import stats

from companion.claims.estimates import Estimate, holm, mean_over_seeds


def test_interval_over_seeds_is_students() -> None:
    found = mean_over_seeds([0.00, 0.01, 0.02])
    assert (found.value, found.df) == (pytest.approx(0.01), 2)
    assert found.se == pytest.approx(0.01 / math.sqrt(3))
    low, high = found.interval()
    assert high - found.value == pytest.approx(4.302653 * found.se, rel=1e-6)  # table of t, df 2
    assert high + low == pytest.approx(0.02)
    assert found.p_value(0) == pytest.approx(stats.ttest_1samp([0.00, 0.01, 0.02], 0).pvalue)


def test_one_seed_has_no_standard_error() -> None:
    found = mean_over_seeds([0.3])
    assert (found.value, found.interval(), found.p_value(0)) == (0.3, (-math.inf, math.inf), 1)


def test_seeds_that_agree_exactly() -> None:
    found = mean_over_seeds([0.5, 0.5])
    assert (found.p_value(0.0), found.p_value(0.5), found.interval()) == (0, 1, (0.5, 0.5))


def test_a_bootstrap_interval_is_kept_and_its_sides_have_errors_of_their_own() -> None:
    found = Estimate(0.97, ci95=(0.94, 0.98))
    assert found.interval(0.95) == pytest.approx((0.94, 0.98))
    wider = stats.norm.ppf(0.995) / stats.norm.ppf(0.975)
    assert found.interval(0.99) == pytest.approx((0.97 - wider * 0.03, 0.97 + wider * 0.01))


@pytest.mark.parametrize("bound", [0.93, 0.945, 0.975, 0.985])
def test_p_value_of_a_bootstrap_interval_agrees_with_it(bound: float) -> None:
    found = Estimate(0.97, ci95=(0.94, 0.98))
    p = found.p_value(bound)
    assert (p < 0.05) == (not 0.94 <= bound <= 0.98)
    for level, held in ((1 - p * 1.001, False), (1 - p * 0.999, True)):
        low, high = found.interval(level)
        assert (low <= bound <= high) == held


@pytest.mark.parametrize("values", [[], [0.1, np.nan]])
def test_bad_values_are_refused(values) -> None:
    with pytest.raises(ValueError, match="one finite value per seed"):
        mean_over_seeds(values)


def test_holm_by_hand() -> None:
    """p = .01, .02, .03, .04: 4 x .01 = .04, 3 x .02 = .06, 2 x .03 = .06, 1 x .04 -> .06."""
    shuffled = [0.03, 0.01, 0.04, 0.02]
    assert holm(shuffled)[0] == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_an_interval_at_its_level_excludes_what_holm_rejects() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        p = rng.uniform(size=rng.integers(1, 6)) ** 4
        adjusted, levels = holm(p)
        assert ((p <= 1 - levels) == (adjusted <= 0.05)).all()
