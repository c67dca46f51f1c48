"""Simulated scanners over real images: who takes whom, and the truth that is known then."""

import numpy as np
import pandas as pd
import pytest
from pydantic import Field

from companion.cohorts.simulation.scanner_shares import SimulatedScanners
from companion.cohorts.simulation.simulated_scanners import assign_scanners


class _Options(SimulatedScanners):
    shares: dict[str, float] = Field(default={"Aurora": 0.7, "Cirrus": 0.3})
    held_out: tuple[str, ...] = ("Eos",)


def _rows() -> pd.DataFrame:
    """Two images of each of 100 train, 30 val and 40 test patients; a fifth are of class 1."""
    split = np.repeat(["train", "val", "test"], [200, 60, 80])
    patient = np.arange(340) // 2
    names = [f"p{i}" for i in patient]
    columns = {"patient_id": names, "split": split, "label": patient % 5 == 0}
    return pd.DataFrame(columns).sample(340, random_state=0)


def test_train_has_the_shares_val_and_test_have_all_alike_in_every_class() -> None:
    rows = _rows()
    rows["scanner"] = assign_scanners(rows, _Options())
    assert (rows.groupby("patient_id")["scanner"].nunique() == 1).all()
    count = rows.drop_duplicates("patient_id").groupby(["split", "label", "scanner"]).size()
    expected = {
        ("train", 0): {"Aurora": 56, "Cirrus": 24},
        ("train", 1): {"Aurora": 14, "Cirrus": 6},
        ("val", 0): {"Aurora": 12, "Cirrus": 12},
        ("val", 1): {"Aurora": 3, "Cirrus": 3},
        ("test", 0): {"Aurora": 32 / 3, "Cirrus": 32 / 3, "Eos": 32 / 3},
        ("test", 1): {"Aurora": 8 / 3, "Cirrus": 8 / 3, "Eos": 8 / 3},
    }
    for (split, label), scanners in expected.items():
        found = count[split, bool(label)]
        assert set(found.index) == set(scanners)
        for scanner, number in scanners.items():
            assert found[scanner] == pytest.approx(number, abs=1.5)


def test_assignment_depends_on_seed_and_patients_not_on_the_order_of_rows() -> None:
    rows = _rows()
    first = assign_scanners(rows, _Options())
    assert (assign_scanners(rows.sort_index(), _Options())[rows.index] == first).all()
    assert (assign_scanners(rows, _Options(scanner_seed=1)) != first).any()
