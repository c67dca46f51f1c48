"""The splits of the paper's released code, drawn again image for image.

All of them call scikit-learn's `train_test_split` with `random_state=33`, on patients in the order
in which the table names them first. The draw depends on that order and on the number of patients
alone, so the publisher's whole table gives the paper's own splits.

Source: https://github.com/biomedia-mira/counterfactual-contrastive, `data_handling/`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from companion.cohorts.errors import CohortError

SEED = 33


def hold_out(
    units: np.ndarray, share: float, strata: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The units that stay and a share that is held out, both in the order of the draw.

    Args:
        units: (n,) patients, or whatever is kept together.
        share: of the units that is held out, in (0, 1).
        strata: (n,) a class for each place in `units`, to draw alike from each.

    Raises:
        CohortError: there are too few units, or too few of a stratum.
    """
    from sklearn.model_selection import train_test_split  # takes a second, which few need

    try:
        rest, held = train_test_split(units, test_size=share, random_state=SEED, stratify=strata)
    except ValueError as error:
        raise CohortError(
            f"{len(units)} patients cannot be split as in the paper: {error}"
        ) from error
    return rest, held


def train_val_test(units: pd.Series, test: float, val: float) -> pd.Series:
    """The split of each row: `test` of the units that are kept together, then `val` of the rest.

    Args:
        units: (n,) the patient, or series, of each row.
        test, val: shares of the units.

    Returns:
        'train' | 'val' | 'test' for each row, with the index of `units`.
    """
    rest, tested = hold_out(np.asarray(units.unique()), test)
    trained, validated = hold_out(rest, val)
    return assign_splits(units, {"train": trained, "val": validated, "test": tested})


def assign_splits(units: pd.Series, drawn: dict[str, np.ndarray]) -> pd.Series:
    """The split of each row, given the units of each split."""
    return units.map({unit: split for split, of in drawn.items() for unit in of})


def leak_caveats(units: pd.Series, split: pd.Series, text: str) -> list[str]:
    """A caveat, if units have rows in more than one split; `{n}` in its text is how many."""
    n = int((split.groupby(units).nunique() > 1).sum())
    return [text.format(n=n)] if n else []
