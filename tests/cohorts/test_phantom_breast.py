"""The breast phantom: graded density, implants, two views, what do(age) changes."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from companion.cohorts import truths
from companion.cohorts.cohort import Cohort
from companion.cohorts.simulation.breast_anatomy import DRAWS, Breast, anatomy, radiance
from companion.cohorts.simulation.draws import exogenous
from companion.cohorts.simulation.phantom_breast import (
    TISSUE_SHARE,
    PhantomBreastOptions,
    density,
)
from companion.cohorts.truths import true_counterfactual
from tests.cohorts.releases import phantom

FRAME = (64, 56)


@pytest.fixture
def breast(small: Callable[[str], Cohort]) -> Cohort:
    return small("phantom-breast")


def _breasts(n: int, share: float, *, implant: bool = False, oblique: bool = False) -> Breast:
    index = np.arange(n)
    noise = exogenous(DRAWS, 0, 0, index, index, FRAME)
    return anatomy(noise, np.full(n, share), np.full(n, implant), np.full(n, oblique))


def _covered(breast: Breast) -> np.ndarray:
    """Share of each breast's area without the muscle that is tissue, (n,)."""
    area = (breast.outline > 0) & (breast.muscle < 0.5)
    return ((breast.tissue > 0.5) & area).sum((1, 2)) / area.sum((1, 2))


def _densities(n: int, **options: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Age, class and share of tissue of n women."""
    index = np.arange(n)
    noise = exogenous(DRAWS, 0, 0, index, index, (1, 1))
    label, share = density(PhantomBreastOptions(**options), noise)
    return noise.patient["age"].reshape(-1), label, share


@pytest.mark.parametrize("effect", [0.0, 0.5, 0.9])
def test_older_is_less_dense_as_much_as_asked_and_classes_keep_their_prevalence(effect):
    prevalence = {"A": 0.2, "B": 0.5, "C": 0.2, "D": 0.1}
    age, label, share = _densities(2000, age_effect=effect, prevalence=prevalence)
    # Of a bivariate normal with correlation r, the rank correlation is 6/pi asin(r/2).
    expected = -6 / np.pi * np.arcsin(effect / 2)
    assert stats.spearmanr(age, share).statistic == pytest.approx(expected, abs=0.06)
    found = np.bincount(label, minlength=4) / 2000
    np.testing.assert_allclose(found, list(prevalence.values()), atol=0.04)
    for k, (low, high) in enumerate(pairwise(TISSUE_SHARE)):
        assert low <= share[label == k].min()
        assert share[label == k].max() <= high


@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_tissue_covers_its_share_of_the_breast(share: float, oblique: bool) -> None:
    covered = _covered(_breasts(40, share, oblique=oblique))
    np.testing.assert_allclose(covered, share, atol=0.03)


def test_more_tissue_never_takes_any_away_and_is_brighter() -> None:
    index = np.arange(20)
    noise = exogenous(DRAWS, 0, 0, index, index, FRAME)
    no = np.zeros(20, bool)
    sparse, dense = (radiance(noise, np.full(20, s), no, no, no) for s in (0.2, 0.6))
    assert (dense - sparse).min() > -1e-5
    assert ((dense - sparse).mean((1, 2)) > 0.005).all()


def test_muscle_is_in_oblique_views_only() -> None:
    assert _breasts(20, 0.3).muscle.max() == 0
    assert (_breasts(20, 0.3, oblique=True).muscle.max((1, 2)) > 0.9).all()


def test_right_breasts_are_mirrored() -> None:
    index = np.arange(10)
    noise = exogenous(DRAWS, 0, 0, index, index, FRAME)
    share, no, yes = np.full(10, 0.3), np.zeros(10, bool), np.ones(10, bool)
    left = radiance(noise, share, no, no, no)
    np.testing.assert_array_equal(radiance(noise, share, no, no, yes), left[:, :, ::-1])
    assert (left[:, :, 0].mean(1) > left[:, :, -1].mean(1)).all()  # chest wall at the left


def test_implants_are_bright_found_and_in_their_share(tmp_path: Path) -> None:
    more = {"n_train": 200, "implants": 0.2, "height": 64, "width": 56}
    larger = phantom("phantom-breast", tmp_path / "cohort", **more)
    implant = larger.attributes(np.arange(len(larger))) == "implant"
    assert implant.mean() == pytest.approx(0.2, abs=0.06)
    shown = true_counterfactual(larger, np.arange(len(larger)), {"scanner": "Gale"}, noise=False)
    middle = shown[:, 16:48, :].max((1, 2))
    assert np.median(middle[implant]) > np.median(middle[~implant]) + 30


def test_cohorts_without_attributes_say_so(breast: Cohort, tmp_path: Path) -> None:
    assert set(breast.attributes(breast.rows("train"))) <= {"", "implant"}
    plain = replace(breast, table=breast.table.drop(columns="attribute"))
    assert list(plain.attributes(np.array([2, 0]))) == ["", ""]
    for name in ("cohort.json", "images.npy"):
        (tmp_path / name).write_bytes((breast.folder / name).read_bytes())
    breast.table.assign(colour="").to_parquet(tmp_path / "table.parquet", index=False)
    with pytest.raises(ValueError, match="columns"):
        Cohort.load(tmp_path)


def test_do_age_changes_the_density_and_through_it_the_image(breast: Cohort) -> None:
    rows = breast.rows("test")
    ages = breast.table["age"].iloc[rows].to_numpy()
    np.testing.assert_array_equal(
        truths.true_labels(breast, rows, {}), breast.table["label"].iloc[rows]
    )
    young, old = (truths.true_labels(breast, rows, {"age": age}) for age in ("40", "79"))
    assert (young >= old).all()
    assert (young > old).mean() > 0.3
    # Where the density stays in its very place there is no change: the woman's own age.
    own = np.flatnonzero(ages == ages[0])
    same = true_counterfactual(breast, rows[own], {"age": f"{ages[0]:.0f}"})
    np.testing.assert_array_equal(same, breast.images[rows[own]])
    as_young, as_old = (true_counterfactual(breast, rows, {"age": age}) for age in ("40", "79"))
    assert as_young.mean() > as_old.mean() + 2  # denser is brighter
    with pytest.raises(ValueError, match="do age = '39'"):
        true_counterfactual(breast, rows, {"age": "39"})
