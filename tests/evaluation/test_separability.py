"""Domain separability on features whose answer is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from companion.cohorts.cohort import Cohort
from companion.evaluation.separability import separability

N = 300
SCANNERS = np.array(["A", "B", "C"])


@pytest.fixture
def cohort() -> Cohort:
    """Test images of three scanners, the first as frequent as the others together."""
    scanner = np.array(["A", "B", "A", "C"] * (N // 4))
    table = pd.DataFrame(
        {
            "split": "test",
            "scanner": scanner,
            "patient_id": [f"p{i // 2}" for i in range(N)],
        }
    )
    return Cohort(Path(), {"name": "made up"}, np.zeros((N, 1, 1), np.uint8), table)


def measured(cohort: Cohort, features: np.ndarray) -> pd.Series:
    return separability(cohort, features).measures.set_index("measure")["value"]


def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, 8))


def test_features_without_the_scanner_are_at_chance(cohort: Cohort) -> None:
    found = measured(cohort, noise())
    assert found["scanner"] == pytest.approx(1 / 3, abs=0.1)
    assert found["scanner_knn"] == pytest.approx(1 / 3, abs=0.1)
    assert found["silhouette"] == pytest.approx(0, abs=0.05)
    assert found["mixing"] == pytest.approx(1, abs=0.1)


def test_features_that_are_the_scanner_tell_all(cohort: Cohort) -> None:
    codes = np.searchsorted(SCANNERS, cohort.table["scanner"])
    found = measured(cohort, np.eye(3)[codes] * 50 + noise()[:, :3])
    assert found["scanner"] == found["scanner_knn"] == 1
    assert found["silhouette"] > 0.9
    assert found["mixing"] == 0


def test_other_images_of_the_patient_do_not_help(cohort: Cohort) -> None:
    """Features that know the patient alone, each patient on one scanner."""
    table = cohort.table.assign(scanner=np.repeat(np.tile(SCANNERS, N // 6), 2))
    one_each = replace(cohort, table=table)
    patient = np.random.default_rng(2).normal(size=(N // 2, 8)).repeat(2, axis=0)
    found = measured(one_each, patient + 0.01 * noise())
    assert found["scanner"] == pytest.approx(1 / 3, abs=0.12)
    assert found["scanner_knn"] == pytest.approx(1 / 3, abs=0.12)


def test_one_scanner_or_one_for_each_image_cannot_be_told_apart(cohort: Cohort) -> None:
    for scanner in ("A", [f"scanner {i}" for i in range(N)]):
        alone = replace(cohort, table=cohort.table.assign(scanner=scanner))
        assert all(table.empty for table in separability(alone, noise()))


def test_a_rare_scanner_may_lie_in_one_fold_and_has_its_part_in_the_silhouette(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("companion.evaluation.separability.MOST", 100)
    table = cohort.table.assign(scanner=["B"] * 2 + ["A"] * (N - 2))  # B: one patient's two images
    found = separability(replace(cohort, table=table), noise()).measures.set_index("measure")
    assert found.loc["scanner", "value"] <= 0.5  # B is not known when it is asked for
    assert found.loc["silhouette", "n"] == 50 + 2


def test_confusion_counts_what_each_scanner_is_taken_for(cohort: Cohort) -> None:
    codes = np.searchsorted(SCANNERS, cohort.table["scanner"])
    shown = np.where(codes == 2, 1, codes)  # C looks like B
    found = separability(cohort, np.eye(3)[shown] * 50 + noise()[:, :3]).confusion
    counts = found.pivot(index="scanner", columns="predicted", values="n")
    assert counts.to_numpy().sum() == N
    assert counts.loc["A", "A"] == N // 2
    assert counts.loc[["B", "C"], "A"].to_numpy().sum() == 0
    assert counts.loc["C", "B"] > 0


def test_an_attribute_is_told_from_chance(cohort: Cohort) -> None:
    assert "attribute" not in measured(cohort, noise())
    implant = np.random.default_rng(3).random(N // 2).repeat(2) < 0.1
    table = cohort.table.assign(attribute=np.where(implant, "implant", ""))
    known = replace(cohort, table=table)
    assert measured(known, noise())["attribute"] == pytest.approx(0.5, abs=0.2)
    assert measured(known, noise() + 50 * implant[:, None])["attribute"] == 1
