import math

import numpy as np
import pytest
from scipy import stats

from companion.claims.seeds import Estimate, mean_over_seeds, over_seeds, spread
from tests.evaluation import made_up


def test_interval_over_seeds_is_students() -> None:
    found = mean_over_seeds([0.00, 0.01, 0.02])
    assert (found.value, found.df) == (pytest.approx(0.01), 2)
    assert found.se == pytest.approx(0.01 / math.sqrt(3))
    low, high = found.interval()
    assert high - found.value == pytest.approx(4.302653 * found.se, rel=1e-6)  # table of t, df 2
    assert high + low == pytest.approx(0.02)
    assert found.p_value(0) == pytest.approx(stats.ttest_1samp([0.00, 0.01, 0.02], 0).pvalue)


def test_p_value_and_interval_agree() -> None:
    found = mean_over_seeds([0.01, 0.03, 0.02, 0.05])
    p = found.p_value(0.0)
    assert found.interval(1 - p * 1.001)[0] > 0 > found.interval(1 - p * 0.999)[0]


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


def test_spread_of_a_hand_computed_table() -> None:
    """Rows 1 and 3 apart by 2, columns by 4, no rest: sd of (0, 2) is sqrt 2, of (0, 4) sqrt 8."""
    found = spread(np.array([[1.0, 5.0], [3.0, 7.0]]))
    assert found.mean == 4
    assert found.sd_pretraining == pytest.approx(math.sqrt(2))
    assert found.sd_subsets == pytest.approx(math.sqrt(8))
    assert found.sd_rest == pytest.approx(0)
    assert found.se == pytest.approx(1)
    assert (found.pretrain_seeds, found.probe_seeds) == (2, 2)


def test_spread_tells_the_sources_apart() -> None:
    rng = np.random.default_rng(0)
    s, p = 400, 300
    y = 3 * rng.normal(size=(s, 1)) + 2 * rng.normal(size=(1, p)) + rng.normal(size=(s, p))
    found = spread(y)
    assert found.sd_pretraining == pytest.approx(3, rel=0.1)
    assert found.sd_subsets == pytest.approx(2, rel=0.1)
    assert found.sd_rest == pytest.approx(1, rel=0.02)
    swapped = spread(y.T)
    assert swapped.sd_subsets == found.sd_pretraining


def test_chance_alone_is_no_source() -> None:
    """The mean of 5 figures varies by chance; without removing it both sources would show .45."""
    rng = np.random.default_rng(1)
    found = [spread(rng.normal(size=(5, 5))) for _ in range(200)]
    assert np.mean([each.sd_pretraining**2 for each in found]) < 0.1
    assert np.mean([each.sd_rest**2 for each in found]) == pytest.approx(1, rel=0.1)


def test_more_subsets_do_not_narrow_the_standard_error_of_encoders() -> None:
    column = np.array([[0.1], [0.2], [0.4]])
    assert spread(np.tile(column, 20)).se == pytest.approx(spread(column).se)


def test_what_was_drawn_once_has_no_deviation() -> None:
    one_encoder = spread(np.array([[0.1, 0.3]]))
    assert math.isnan(one_encoder.se)
    assert math.isnan(one_encoder.sd_pretraining)
    assert one_encoder.sd_subsets == pytest.approx(np.std([0.1, 0.3], ddof=1))
    assert math.isnan(spread(np.array([[0.1], [0.3]])).sd_subsets)


def test_results_are_summarised_figure_by_figure() -> None:
    table = made_up.papers_results()
    found = over_seeds(table)
    keys = ["strategy", "domain", "label_fraction"]
    assert len(found) == 3 * 4 * 3
    row = found.set_index(keys).loc[("counterfactual", "B", 0.05)]
    mine = table.set_index(keys).loc[("counterfactual", "B", 0.05)]
    assert row["mean"] == pytest.approx(mine["value"].mean())
    by_seed = mine.groupby("pretrain_seed")["value"].mean()
    assert row["se"] == pytest.approx(by_seed.std() / math.sqrt(3))
    assert (row["pretrain_seeds"], row["probe_seeds"]) == (3, 2)


def test_a_missing_repetition_is_named() -> None:
    table = made_up.papers_results()
    with pytest.raises(ValueError, match=r"'domain': 'A'.*full table"):
        over_seeds(table.drop(index=0))
