"""The chest phantom: what do(sex) and the options of its findings and sexes change."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from companion.cohorts.cohort import Cohort
from companion.cohorts.simulation.chest_anatomy import DRAWS, anatomy, radiance
from companion.cohorts.simulation.draws import exogenous
from companion.cohorts.truths import true_counterfactual
from tests.cohorts.releases import phantom


@pytest.fixture
def chest(small: Callable[[str], Cohort]) -> Cohort:
    return small("phantom-chest")


def test_no_noise_is_used_twice() -> None:
    """Neither between splits nor between patients, images and seeds."""
    zero, one = np.array([0]), np.array([1])
    keys = [(0, 0, zero, zero), (0, 0, zero, one), (0, 0, one, zero), (0, 1, zero, zero)]
    keys += [(1, 0, zero, zero), (0, 2, zero, zero)]
    drawn = [exogenous(DRAWS, *key, (8, 8)) for key in keys]
    assert len({noise.sensor.tobytes() for noise in drawn}) == 5  # two share the image number
    assert len({noise.patient["width"].item() for noise in drawn}) == 5  # two share the patient


def test_do_sex_changes_the_anatomy_and_neither_finding_nor_noise() -> None:
    index, n = np.arange(40), 40
    noise = exogenous(DRAWS, 0, 0, index, index, (64, 64))
    age, contrast = np.full(n, 50.0), (0.1, 0.1)
    yes, no = np.ones(n, bool), np.zeros(n, bool)
    female, male = (radiance(noise, sex, age, no, contrast) for sex in (yes, no))
    assert (np.abs(female - male).mean((1, 2)) > 0.005).all()
    assert (anatomy(noise, yes, age).half_width < anatomy(noise, no, age).half_width).all()
    assert (anatomy(noise, yes, age).breast > 0).all()
    assert (anatomy(noise, no, age).breast == 0).all()
    # The opacities stay: as much of them, at nearly the same place.
    lesion_f = radiance(noise, yes, age, yes, contrast) - female
    lesion_m = radiance(noise, no, age, yes, contrast) - male
    assert (lesion_f.max((1, 2)) > 0.01).mean() > 0.9
    flat_f, flat_m = lesion_f.reshape(n, -1), lesion_m.reshape(n, -1)
    cosine = (flat_f * flat_m).sum(1) / np.sqrt((flat_f**2).sum(1) * (flat_m**2).sum(1))
    assert np.median(cosine) > 0.85


def test_do_both_is_both(chest: Cohort) -> None:
    rows = chest.rows("train")
    both = true_counterfactual(chest, rows, {"scanner": "Eos", "sex": "F"})
    scanner = true_counterfactual(chest, rows, {"scanner": "Eos"})
    changed = (both != scanner).any(axis=(1, 2))
    np.testing.assert_array_equal(changed, chest.table["sex"].iloc[rows] == "M")


def test_women_can_be_rarer_and_their_opacities_fainter(chest: Cohort, tmp_path: Path) -> None:
    rarer = phantom("phantom-chest", tmp_path / "made", female_share=0.25, female_contrast=0.5)
    assert "25%" in rarer.info["caveats"][-1]
    assert "%" not in " ".join(chest.info["caveats"])
    assert (rarer.table["sex"] == "F").mean() == pytest.approx(0.25, abs=0.08)
    np.testing.assert_array_equal(rarer.table["label"], chest.table["label"])
    same_sex = (rarer.table["sex"] == chest.table["sex"]).to_numpy()
    ill_women = (rarer.table["sex"] == "F") & (rarer.table["label"] == 1)
    changed = (rarer.images != chest.images).any(axis=(1, 2))
    np.testing.assert_array_equal(changed[same_sex], ill_women[same_sex])


def test_lesion_contrast_changes_positives_only(chest: Cohort, tmp_path: Path) -> None:
    other = phantom("phantom-chest", tmp_path / "cohort", lesion_contrast=(0.3, 0.5))
    changed = (other.images != chest.images).any(axis=(1, 2))
    np.testing.assert_array_equal(changed, chest.table["label"].to_numpy() == 1)


def test_the_finding_is_independent_of_the_rest_and_partly_told_by_the_pixels(tmp_path):
    larger = phantom(
        "phantom-chest", tmp_path / "cohort", size=64, n_train=1200, n_test_per_scanner=60
    )
    assert larger.table["label"].mean() == pytest.approx(0.35, abs=0.035)
    for column in ("scanner", "sex"):
        for _, group in larger.table.groupby(column):
            error = np.sqrt(0.35 * 0.65 / len(group))
            assert abs(group["label"].mean() - 0.35) < 3.5 * error
    women = larger.table.groupby("scanner")["sex"].apply(lambda sex: (sex == "F").mean())
    assert women.between(0.33, 0.67).all()
    x = larger.images.reshape(-1, 16, 4, 16, 4).mean((2, 4)).reshape(len(larger), -1) / 255 - 0.5
    label = larger.table["label"].to_numpy()
    train, test = larger.rows("train"), larger.rows("test", "pretraining")
    model = LogisticRegression(C=0.1, max_iter=300).fit(x[train], label[train])
    assert 0.6 < roc_auc_score(label[test], model.decision_function(x[test])) < 0.9
