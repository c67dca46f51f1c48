"""Splits are by patient, stratified, in the asked shares, and a matter of the seed."""

import numpy as np
import pandas as pd
import pytest

from companion.cohorts.errors import CohortError
from companion.cohorts.importing.splits import (
    SplitOptions,
    hold_out,
    leak_caveats,
    published_splits,
    split_by_patient,
)
from tests.oracles import published_splits as oracle


def rows(patients: int = 400, seed: int = 0) -> pd.DataFrame:
    """One to four images per patient; a rare scanner and a rare class."""
    rng = np.random.default_rng(seed)
    images = rng.integers(1, 5, patients)
    patient = np.repeat(np.arange(patients), images)
    scanner = np.repeat(rng.choice(["A", "B", "rare"], patients, p=[0.6, 0.32, 0.08]), images)
    label = np.repeat(rng.choice([0, 1], patients, p=[0.85, 0.15]), images)
    names = [f"p{i}" for i in patient]
    return pd.DataFrame({"patient_id": names, "scanner": scanner, "label": label})


def test_shares_hold_in_every_stratum() -> None:
    table = rows()
    options = SplitOptions(train=0.6, val=0.1, test=0.3)
    table["split"] = split_by_patient(table, (), options)
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()
    patients = table.drop_duplicates("patient_id")
    for _, stratum in patients.groupby(["scanner", "label"]):
        counts = stratum["split"].value_counts()
        for split, share in (("train", 0.6), ("val", 0.1), ("test", 0.3)):
            assert abs(counts.get(split, 0) - share * len(stratum)) <= 1


def test_seed_and_only_the_seed_matters() -> None:
    table = rows()
    first = split_by_patient(table, (), SplitOptions(seed=3))
    shuffled = table.sample(frac=1, random_state=0)
    assert split_by_patient(shuffled, (), SplitOptions(seed=3)).sort_index().equals(first)
    assert not split_by_patient(table, (), SplitOptions(seed=4)).equals(first)


def test_unlabelled_patients_train_and_held_out_patients_test() -> None:
    table = rows()
    table.loc[table["patient_id"].isin(["p1", "p2"]), "label"] = -1
    table.loc[table["patient_id"] == "p2", "scanner"] = "away"
    split = split_by_patient(table, ("away",), SplitOptions())
    assert set(split[table["patient_id"] == "p1"]) == {"train"}
    assert set(split[table["patient_id"] == "p2"]) == {"test"}


@pytest.mark.parametrize("n", [10, 37, 200])
@pytest.mark.parametrize(("test", "val"), [(0.2, 0.1), (0.4, 0.15), (0.3, 0.2)])
def test_the_paper_s_split_is_the_released_code_s(n: int, test: float, val: float) -> None:
    rng = np.random.default_rng(n)
    units = pd.Series([f"p{k}" for k in rng.integers(n, size=2 * n)])
    found = published_splits(units, test, val)
    assert found.tolist() == oracle.three_way(units.tolist(), test, val)
    assert leak_caveats(units, found, "{n}") == []


def test_too_few_to_split() -> None:
    with pytest.raises(CohortError, match="2 patients cannot be split as in the paper"):
        hold_out(np.array(["a", "b"]), 0.25, [0, 1])
