"""The mammogram simulator: known truth, graded density, implants, two views, separate scanners."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from companion.cohorts import truths
from companion.cohorts.cohort import Cohort
from companion.cohorts.registry import build
from companion.cohorts.simulation import phantom
from companion.cohorts.simulation.breast_anatomy import DRAWS, Breast, anatomy, radiance
from companion.cohorts.simulation.draws import exogenous
from companion.cohorts.simulation.phantom_breast import (
    CLASSES,
    TISSUE_SHARE,
    PhantomBreastOptions,
    density,
)
from companion.cohorts.simulation.scanners import MAMMOGRAPHS, render
from companion.cohorts.truths import true_counterfactual
from companion.evaluation.options import ProbingOptions
from companion.evaluation.probing import probe

SMALL: dict[str, Any] = {
    "height": 40,
    "width": 32,
    "n_train": 60,
    "n_val": 30,
    "n_test_per_scanner": 8,
}
NAMES = tuple(MAMMOGRAPHS["strong"])
FRAME = (64, 56)


def _made(folder: Path, **options: Any) -> Cohort:
    return build(PhantomBreastOptions(**(SMALL | options)), None, folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return _made(tmp_path_factory.mktemp("small") / "cohort")


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Enough images for statistics, with scanners common enough to be learned."""
    shares = {"Fjord": 0.4, "Gale": 0.15, "Haven": 0.15, "Iris": 0.15, "Juno": 0.15}
    sizes = {"n_train": 900, "n_val": 150, "n_test_per_scanner": 60}
    frame = dict(zip(("height", "width"), FRAME, strict=True))
    folder = tmp_path_factory.mktemp("larger") / "cohort"
    return _made(folder, shares=shares, **sizes, **frame)


def _breasts(n: int, share: float, *, implant: bool = False, oblique: bool = False) -> Breast:
    index = np.arange(n)
    noise = exogenous(DRAWS, 0, 0, index, index, FRAME)
    return anatomy(noise, np.full(n, share), np.full(n, implant), np.full(n, oblique))


def _covered(breast: Breast) -> np.ndarray:
    """Share of each breast's area without the muscle that is tissue, (n,)."""
    area = (breast.outline > 0) & (breast.muscle < 0.5)
    return ((breast.tissue > 0.5) & area).sum((1, 2)) / area.sum((1, 2))


# The table


def test_the_table_describes_the_images(small: Cohort) -> None:
    assert small.images.shape == (60 + 30 + 6 * 8, 40, 32)
    assert (small.info["height"], small.info["width"]) == (40, 32)
    assert small.classes == CLASSES
    assert set(small.table["sex"]) == {"F"}
    assert small.table["age"].between(40, 79).all()
    assert set(small.table["view"]) == {"LCC", "RCC", "LMLO", "RMLO"}
    counted = [
        sum(classes.values()) for s in small.info["counts"].values() for classes in s.values()
    ]
    assert sum(counted) == len(small)


def test_held_out_scanner_is_in_test_only(small: Cohort) -> None:
    assert small.held_out_scanners == ("Kestrel",)
    for split in ("train", "val"):
        assert not len(small.rows(split, "held_out"))
    assert [len(small.rows("test", [name])) for name in NAMES] == [8] * 6


def test_default_scanners_are_as_skewed_as_they_should_be() -> None:
    options = PhantomBreastOptions()
    train = pd.Series(options.deal("train", options.n_train)).value_counts()
    assert 0.8 <= train.iloc[0] / options.n_train <= 0.9
    assert train.min() >= 15
    for name, share in options.shares.items():
        assert train[name] == pytest.approx(share * options.n_train, abs=2)


def test_women_are_in_one_split_with_one_age_and_density(larger: Cohort) -> None:
    by_woman = larger.table.groupby("patient_id")
    for column in ("split", "age", "label", "attribute"):
        assert by_woman[column].nunique().max() == 1
    assert by_woman.size().max() > 1


def test_the_same_options_make_the_same_cohort(small: Cohort, tmp_path: Path) -> None:
    again = _made(tmp_path / "cohort")
    assert again.checksum == small.checksum
    assert json.dumps(again.info) == json.dumps(small.info)


def test_an_image_does_not_depend_on_how_many_are_made(small: Cohort, tmp_path: Path) -> None:
    more = _made(tmp_path / "cohort", n_train=90)
    few = small.rows("train")
    np.testing.assert_array_equal(small.images[few], more.images[few])


# The mechanisms


def _densities(n: int, **options: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Age, class and share of tissue of n women."""
    index = np.arange(n)
    noise = exogenous(DRAWS, 0, 0, index, index, (1, 1))
    label, share = density(PhantomBreastOptions(**options), noise)
    return noise.patient["age"].reshape(-1), label, share


@pytest.mark.parametrize("effect", [0.0, 0.5, 0.9])
def test_prevalence_holds_whatever_the_effect_of_age(effect: float) -> None:
    prevalence = {"A": 0.2, "B": 0.5, "C": 0.2, "D": 0.1}
    _, label, _ = _densities(2000, age_effect=effect, prevalence=prevalence)
    found = np.bincount(label, minlength=4) / 2000
    np.testing.assert_allclose(found, list(prevalence.values()), atol=0.04)


@pytest.mark.parametrize("effect", [0.0, 0.5, 0.9])
def test_older_is_less_dense_as_much_as_asked(effect: float) -> None:
    age, _, share = _densities(2000, age_effect=effect)
    # Of a bivariate normal with correlation r, the rank correlation is 6/pi asin(r/2).
    expected = -6 / np.pi * np.arcsin(effect / 2)
    assert stats.spearmanr(age, share).statistic == pytest.approx(expected, abs=0.06)


def test_classes_are_intervals_of_the_tissue_share() -> None:
    _, label, share = _densities(2000)
    for k, (low, high) in enumerate(pairwise(TISSUE_SHARE)):
        assert share[label == k].min() >= low
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


def test_implants_are_bright_found_and_in_their_share(larger: Cohort) -> None:
    index = np.arange(3000)
    noise = exogenous(DRAWS, 0, 0, index, index, (1, 1))
    for options in (PhantomBreastOptions(implants=share) for share in (0.04, 0.3)):
        found = (options.facts(noise)["attribute"] == "implant").mean()
        assert found == pytest.approx(options.implants, abs=0.02)
    implant = larger.attributes(np.arange(len(larger))) == "implant"
    assert 0 < implant.sum() < 0.1 * len(larger)
    shown = true_counterfactual(larger, np.arange(len(larger)), {"scanner": "Gale"}, noise=False)
    middle = shown[:, 16:48, :].max((1, 2))
    assert np.median(middle[implant]) > np.median(middle[~implant]) + 30


def test_cohorts_without_attributes_say_so(small: Cohort, tmp_path: Path) -> None:
    assert set(small.attributes(small.rows("train"))) <= {"", "implant"}
    plain = Cohort(small.folder, small.info, small.images, small.table.drop(columns="attribute"))
    assert list(plain.attributes(np.array([2, 0]))) == ["", ""]
    for name in ("cohort.json", "images.npy"):
        (tmp_path / name).write_bytes((small.folder / name).read_bytes())
    small.table.assign(colour="").to_parquet(tmp_path / "table.parquet", index=False)
    with pytest.raises(ValueError, match="columns"):
        Cohort.load(tmp_path)


# Truth


@pytest.mark.parametrize("frame", [(32, 28), (32, 256), (100, 33)])
def test_the_null_intervention_is_the_stored_image(frame: tuple[int, int], tmp_path: Path) -> None:
    sizes = {"n_train": 9, "n_val": 3, "n_test_per_scanner": 2}
    cohort = _made(tmp_path / "c", height=frame[0], width=frame[1], **sizes)
    assert cohort.images.shape[1:] == frame
    np.testing.assert_array_equal(
        true_counterfactual(cohort, np.arange(len(cohort)), {}), cohort.images
    )


@pytest.mark.parametrize("scanner", NAMES)
def test_do_scanner_is_the_image_of_who_was_there(small: Cohort, scanner: str) -> None:
    every = np.arange(len(small))
    under = true_counterfactual(small, every, {"scanner": scanner})
    own = small.rows(scanners=[scanner])
    np.testing.assert_array_equal(under[own], small.images[own])
    other = np.setdiff1d(every, own)
    assert (under[other] != small.images[other]).any(axis=(1, 2)).all()


def test_the_truth_keeps_anatomy_and_noise(small: Cohort) -> None:
    row = small.table.iloc[[5]]
    woman, image = (np.array([int(row[c].iloc[0][-6:])]) for c in ("patient_id", "image_id"))
    noise = exogenous(DRAWS, 0, 0, woman, image, (40, 32))
    options = PhantomBreastOptions(**small.info["source_options"])
    scene = options.radiance(noise, row)
    for name, scanner in MAMMOGRAPHS["strong"].items():
        shown = phantom.counterfactual(options, row, {"scanner": name})
        np.testing.assert_array_equal(shown, render(scene, scanner, noise.sensor))
        clean = phantom.counterfactual(options, row, {"scanner": name}, noise=False)
        np.testing.assert_array_equal(clean, render(scene, scanner))


@pytest.mark.parametrize("do", [{"label": "A"}, {"scanner": "Aurora"}, {"sex": "M"}])
def test_unknown_interventions_are_refused(small: Cohort, do: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="it is one of"):
        true_counterfactual(small, np.array([0]), do)


# Options


CHANGES: list[dict[str, Any]] = [
    {"seed": 1},
    {"height": 48},
    {"width": 40},
    {"n_train": 61},
    {"n_val": 31},
    {"n_test_per_scanner": 9},
    {"regime": "mild"},
    {"shares": {"Fjord": 0.5, "Gale": 0.5}},
    {"scanner_set": "radiography", "shares": {"Aurora": 0.5, "Boreal": 0.5}},
    {"prevalence": {"A": 0.25, "B": 0.25, "C": 0.25, "D": 0.25}},
    {"age_effect": 0.0},
    {"implants": 0.5},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_every_option_reaches_the_cohort(
    small: Cohort, tmp_path: Path, change: dict[str, Any]
) -> None:
    assert _made(tmp_path / "cohort", **change).checksum != small.checksum


def test_every_option_is_tested_above() -> None:
    tested = {name for change in CHANGES for name in change}
    assert set(PhantomBreastOptions.model_fields) == tested | {"name", "source"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 31},
        {"width": 257},
        {"shares": {"Fjord": 0.5, "Aurora": 0.5}},
        {"prevalence": {"A": 0.5, "B": 0.5}},
        {"prevalence": {"A": 0.5, "B": 0.5, "C": 0.5, "D": 0.5}},
        {"prevalence": {"A": 1.0, "B": 0.0, "C": 0.0, "D": 0.0}},
        {"age_effect": 1.0},
        {"implants": -0.1},
    ],
    ids=str,
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        PhantomBreastOptions(**wrong)


# What scanners and classes look like to a statistician


def _features(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), 16, 4, 14, 4).mean((2, 4)).reshape(len(images), -1) / 255


def test_pixels_tell_the_scanner(larger: Cohort) -> None:
    train, test = larger.rows("train"), larger.rows("test", "pretraining")
    model = LogisticRegression(max_iter=300)
    model.fit(_features(larger.images[train]), larger.codes("scanner", train))
    accuracy = model.score(_features(larger.images[test]), larger.codes("scanner", test))
    assert accuracy > 0.95


def test_probes_score_four_classes_one_against_the_rest(larger: Cohort) -> None:
    """The evaluation works on the phantom as it is, and agrees with scikit-learn's figure."""
    features = _features(np.asarray(larger.images))
    options = ProbingOptions(
        fractions=(1.0,), seeds=(0,), c_grid=(0.01,), n_bootstrap=20, min_test_per_class=2
    )
    about = {"objective": "pixels", "strategy": "none", "pretrain_seed": 0}
    table = probe(larger, features, options, **about)
    found = table[table["subgroup"] == "all"].set_index("domain")["value"]
    assert set(found.index) == {*NAMES, "pooled"}
    label = larger.table["label"].to_numpy()
    train, test = larger.rows("train"), larger.rows("test", "pretraining")
    scale = features[train].mean(0), features[train].std(0)
    x = (features - scale[0]) / scale[1]
    model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000)
    scores = model.fit(x[train], label[train]).predict_proba(x[test])
    expected = roc_auc_score(label[test], scores, multi_class="ovr", average="macro")
    assert found["pooled"] == pytest.approx(expected, abs=1e-3)
    assert 0.65 < found["pooled"] < 0.95


def test_strong_scanners_differ_by_more_than_the_classes(larger: Cohort) -> None:
    rows = larger.rows("test", "pretraining")
    label = larger.table["label"].iloc[rows].to_numpy()
    shown = [
        true_counterfactual(larger, rows, {"scanner": name}, noise=False).astype(float)
        for name in larger.scanners
    ]
    for i, image in enumerate(shown):
        between = np.abs(image[label >= 2].mean(0) - image[label < 2].mean(0)).mean()
        for other in shown[:i] + shown[i + 1 :]:
            assert np.abs(image - other).mean() > 1.5 * between


def test_do_age_changes_the_density_and_through_it_the_image(small: Cohort) -> None:
    rows = small.rows("test")
    ages = small.table["age"].iloc[rows].to_numpy()
    np.testing.assert_array_equal(
        truths.true_labels(small, rows, {}), small.table["label"].iloc[rows]
    )
    young, old = (truths.true_labels(small, rows, {"age": age}) for age in ("40", "79"))
    assert (young >= old).all()
    assert (young > old).mean() > 0.3
    # Where the density stays in its very place there is no change: the woman's own age.
    own = np.flatnonzero(ages == ages[0])
    same = true_counterfactual(small, rows[own], {"age": f"{ages[0]:.0f}"})
    np.testing.assert_array_equal(same, small.images[rows[own]])
    as_young, as_old = (true_counterfactual(small, rows, {"age": age}) for age in ("40", "79"))
    assert as_young.mean() > as_old.mean() + 2  # denser is brighter
    with pytest.raises(ValueError, match="do age = '39'"):
        true_counterfactual(small, rows, {"age": "39"})
