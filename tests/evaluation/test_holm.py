import numpy as np
import pytest

from companion.claims.holm import holm, holm_levels


def test_holm_by_hand() -> None:
    """p = .01, .02, .03, .04: 4 x .01 = .04, 3 x .02 = .06, 2 x .03 = .06, 1 x .04 -> .06."""
    shuffled = [0.03, 0.01, 0.04, 0.02]
    assert holm(shuffled) == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_an_interval_at_its_level_excludes_what_holm_rejects() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        p = rng.uniform(size=rng.integers(1, 6)) ** 4
        assert ((p <= 1 - holm_levels(p)) == (holm(p) <= 0.05)).all()


@pytest.mark.parametrize("p", [[0.1, 1.2], [np.nan], [-0.1]])
@pytest.mark.parametrize("function", [holm, holm_levels])
def test_what_is_no_p_value_is_refused(function, p) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        function(p)
