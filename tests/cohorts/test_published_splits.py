"""The released code's splits against a slow oracle, and what they cannot do."""

import numpy as np
import pandas as pd
import pytest

from companion.cohorts.errors import CohortError
from companion.cohorts.importing import published_splits
from tests.oracles import published_splits as oracle


@pytest.mark.parametrize("n", [10, 37, 200])
@pytest.mark.parametrize(("test", "val"), [(0.2, 0.1), (0.4, 0.15), (0.3, 0.15), (0.3, 0.2)])
def test_the_split_is_the_released_code_s(n: int, test: float, val: float) -> None:
    rng = np.random.default_rng(n)
    units = pd.Series([f"p{k}" for k in rng.integers(n, size=2 * n)])
    found = published_splits.train_val_test(units, test, val)
    assert found.tolist() == oracle.three_way(units.tolist(), test, val)
    assert published_splits.leak_caveats(units, found, "{n}") == []


def test_too_few_to_split() -> None:
    with pytest.raises(CohortError, match="2 patients cannot be split as in the paper"):
        published_splits.hold_out(np.array(["a", "b"]), 0.25, [0, 1])
