"""Splits by patient: no patient is in two of train, val and test."""

from typing import Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from ccl.options import Options
from companion.cohorts.cohort import SPLITS


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
    """Draws the split of each row, stratified by the patient's scanner and label.

    A patient with any image of a held-out scanner goes to test with all images; one without any
    label goes to train, the only split where images without a label are of use.

    Args:
        rows: columns patient_id, scanner, label (-1 = none).
        held_out_scanners: scanners of which nothing may be seen in training.
        options: shares and seed.

    Returns:
        'train' | 'val' | 'test' for each row, with the index of `rows`.
    """
    held_out = set(rows.loc[rows["scanner"].isin(held_out_scanners), "patient_id"])
    labelled = set(rows.loc[rows["label"] >= 0, "patient_id"])
    patients = sorted(set(rows["patient_id"]))
    split = {patient: "test" if patient in held_out else "train" for patient in patients}
    drawn = labelled - held_out
    split |= _draw(_strata(rows[rows["patient_id"].isin(drawn)]), options)
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
