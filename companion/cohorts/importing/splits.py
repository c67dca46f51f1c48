"""Splits by patient, ours or the paper's: no patient is in two of train, val and test.

The paper's are drawn again image for image. Its released code calls scikit-learn's
`train_test_split` with `random_state=33`, on patients in the order in which the table names them
first. The draw depends on that order and on the number of patients alone, so the publisher's whole
table gives the paper's own splits.

Source: https://github.com/biomedia-mira/counterfactual-contrastive, `data_handling/`.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from ccl.options import Options
from companion.cohorts.cohort import SPLITS
from companion.cohorts.errors import CohortError


class SplitOptions(Options):
    """Shares of the patients in each split and the seed of the draw."""

    train: float = Field(default=0.5, gt=0, lt=1)
    val: float = Field(default=0.15, gt=0, lt=1)
    test: float = Field(default=0.35, gt=0, lt=1)
    seed: int = 0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + val + test = {total:g}, expected 1")
        return self


def split_by_patient(
    rows: pd.DataFrame, held_out_scanners: tuple[str, ...], options: SplitOptions
) -> pd.Series:
    """The split of each row, stratified by the patient's scanner and label.

    A patient with any image of a held-out scanner goes to test with all images; one without any
    label goes to train, the only split where images without a label are of use.

    Args:
        rows: columns patient_id, scanner, label (-1 = none).
        held_out_scanners: scanners of which nothing may be seen in training.
        options: shares and seed.
    """
    held_out = set(rows.loc[rows["scanner"].isin(held_out_scanners), "patient_id"])
    labelled = set(rows.loc[rows["label"] >= 0, "patient_id"])
    patients = sorted(set(rows["patient_id"]))
    split = {patient: "test" if patient in held_out else "train" for patient in patients}
    split |= _draw(_strata(rows[rows["patient_id"].isin(labelled - held_out)]), options)
    return rows["patient_id"].map(split)


def _strata(rows: pd.DataFrame) -> pd.Series:
    """Stratum of each patient: the rarest of the scanners that saw them, and highest label."""
    patients_of = rows.groupby("scanner")["patient_id"].nunique()
    rarest = patients_of.reset_index().sort_values(["patient_id", "scanner"])["scanner"]
    rank = {scanner: place for place, scanner in enumerate(rarest)}
    ranks = rows["scanner"].map(rank).groupby(rows["patient_id"]).min().astype(str)
    labels = rows.groupby("patient_id")["label"].max().astype(str)
    return (ranks + "/" + labels).sort_index()


def _draw(strata: pd.Series, options: SplitOptions) -> dict[str, str]:
    """Deals each stratum's patients, shuffled, one by one to the split that is most in arrears.

    scikit-learn's stratified splitters refuse strata of one patient; rare scanners have those.
    """
    rng = np.random.default_rng(options.seed)
    shares = np.array([options.train, options.val, options.test])
    split: dict[str, str] = {}
    for _, patients in strata.groupby(strata, sort=True):
        dealt = np.zeros(len(SPLITS))
        for place, patient in enumerate(rng.permutation(np.array(patients.index, dtype=object))):
            choice = int(np.argmax(np.round(shares * (place + 1) - dealt, 9)))  # ties: train first
            dealt[choice] += 1
            split[patient] = SPLITS[choice]
    return split


def hold_out(
    units: np.ndarray, share: float, strata: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The paper's draw: units that stay and a share that is held out, both in its order.

    Args:
        units: (n,) patients, or whatever is kept together.
        share: of the units that is held out, in (0, 1).
        strata: (n,) a class for each place in `units`, to draw alike from each.

    Raises:
        CohortError: there are too few units, or too few of a stratum.
    """
    from sklearn.model_selection import train_test_split  # takes a second, which few need

    try:
        rest, held = train_test_split(units, test_size=share, random_state=33, stratify=strata)
    except ValueError as error:
        raise CohortError(
            f"{len(units)} patients cannot be split as in the paper: {error}"
        ) from error
    return rest, held


def published_splits(units: pd.Series, test: float, val: float) -> pd.Series:
    """The paper's split of each row: shares `test` of its units, and `val` of the other units."""
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
