"""The simulator keeps what it promises: known truth, independence, separable scanners."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from companion.cohorts.checksum import checksum
from companion.cohorts.cohort import Cohort
from companion.cohorts.simulation import phantom
from companion.cohorts.simulation.chest_anatomy import DRAWS, anatomy, radiance
from companion.cohorts.simulation.draws import exogenous
from companion.cohorts.simulation.phantom import build, counterfactual
from companion.cohorts.simulation.phantom_chest import PhantomChestOptions
from companion.cohorts.simulation.scanners import MAMMOGRAPHS, SCANNERS, render
from companion.cohorts.truths import true_counterfactual

SMALL: dict[str, Any] = {"size": 32, "n_train": 60, "n_val": 30, "n_test_per_scanner": 12}
SCANNER_NAMES = tuple(SCANNERS["strong"])


def _made(folder: Path, **options: Any) -> Cohort:
    build(PhantomChestOptions(**(SMALL | options)), folder)
    return Cohort.load(folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return _made(tmp_path_factory.mktemp("small") / "cohort")


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Enough images for statistics, at the default size."""
    folder = tmp_path_factory.mktemp("larger") / "cohort"
    return _made(folder, size=64, n_train=1200, n_val=150, n_test_per_scanner=60)


# The folder


def test_the_table_describes_the_images(small: Cohort) -> None:
    assert len(small) == 60 + 30 + 5 * 12
    assert small.images.shape == (150, 32, 32)
    assert small.table["image_id"].is_unique
    assert set(small.table["sex"]) == {"F", "M"}
    assert small.table["age"].between(18, 90).all()
    assert small.info["checksum"] == checksum(small.images, small.table)
    assert small.info["caveats"]
    assert small.info["citation"]


def test_counts_are_those_of_the_table(small: Cohort) -> None:
    for split, scanners in small.info["counts"].items():
        for scanner, classes in scanners.items():
            rows = small.rows(split, [scanner])
            labels = small.table["label"].iloc[rows].to_numpy()
            assert classes == {"no finding": (labels == 0).sum(), "pneumonia": labels.sum()}


def test_held_out_scanners_are_in_test_only(small: Cohort) -> None:
    assert small.scanners == ("Aurora", "Boreal", "Cirrus")
    assert small.held_out_scanners == ("Dorado", "Eos")
    for split in ("train", "val"):
        assert not len(small.rows(split, "held_out"))
    for scanner in SCANNER_NAMES:
        assert len(small.rows("test", [scanner])) == 12


def test_splits_are_by_patient_and_some_patients_have_several_images(larger: Cohort) -> None:
    by_patient = larger.table.groupby("patient_id")
    assert by_patient["split"].nunique().max() == 1
    assert set(by_patient.size().unique()) == {1, 2, 3}
    assert (by_patient.size() == 1).mean() > 0.7
    assert by_patient["sex"].nunique().max() == 1
    assert by_patient["age"].nunique().max() == 1


def test_an_interrupted_build_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(phantom, "checksum", interrupt)
        with pytest.raises(KeyboardInterrupt):
            _made(tmp_path / "cohort")
    assert not list(tmp_path.iterdir())
    _made(tmp_path / "cohort")
    assert [path.name for path in tmp_path.iterdir()] == ["cohort"]


def test_what_a_killed_run_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".cohort.partial").mkdir()
    (tmp_path / ".cohort.partial" / "images.npy").write_bytes(b"half")
    _made(tmp_path / "cohort")
    assert [path.name for path in tmp_path.iterdir()] == ["cohort"]


def test_an_existing_folder_is_not_overwritten(small: Cohort) -> None:
    with pytest.raises(FileExistsError, match="remove it"):
        build(PhantomChestOptions(**SMALL), small.folder)


# Determinism


def test_the_same_options_make_the_same_cohort(small: Cohort, tmp_path: Path) -> None:
    again = _made(tmp_path / "cohort")
    assert again.checksum == small.checksum
    assert json.dumps(again.info) == json.dumps(small.info)


def test_an_image_does_not_depend_on_how_many_are_made(small: Cohort, tmp_path: Path) -> None:
    more = _made(tmp_path / "cohort", n_train=90, n_val=45, n_test_per_scanner=20)
    for split in ("train", "val", "test"):
        few, many = small.rows(split), more.rows(split)
        many = many[: len(few)]
        np.testing.assert_array_equal(small.images[few], more.images[many])
        pd.testing.assert_frame_equal(
            small.table.iloc[few].reset_index(drop=True),
            more.table.iloc[many].reset_index(drop=True),
        )


def test_no_noise_is_used_twice() -> None:
    """Neither between splits nor between patients, images and seeds."""
    zero, one = np.array([0]), np.array([1])
    keys = [(0, 0, zero, zero), (0, 0, zero, one), (0, 0, one, zero), (0, 1, zero, zero)]
    keys += [(1, 0, zero, zero), (0, 2, zero, zero)]
    drawn = [exogenous(DRAWS, *key, (8, 8)) for key in keys]
    assert len({noise.sensor.tobytes() for noise in drawn}) == 5  # two share the image number
    assert len({noise.patient["width"].item() for noise in drawn}) == 5  # two share the patient


# Truth


@pytest.mark.parametrize("size", [32, 64, 96, 256])
def test_the_null_intervention_is_the_stored_image(size: int, tmp_path: Path) -> None:
    cohort = _made(tmp_path / "c", size=size, n_train=9, n_val=3, n_test_per_scanner=2)
    rows = np.arange(len(cohort))
    assert cohort.images.shape[1:] == (size, size)
    np.testing.assert_array_equal(true_counterfactual(cohort, rows, {}), cohort.images)
    for row in (0, len(cohort) - 1):  # alone, under its own values
        own = {name: cohort.table[name].iloc[row] for name in ("scanner", "sex")}
        np.testing.assert_array_equal(
            true_counterfactual(cohort, np.array([row]), own), cohort.images[row : row + 1]
        )


def test_rows_may_come_in_any_order_and_repeat(small: Cohort) -> None:
    rows = np.array([140, 3, 77, 3, 0])
    np.testing.assert_array_equal(true_counterfactual(small, rows, {}), small.images[rows])
    assert true_counterfactual(small, rows[:0], {}).shape == (0, 32, 32)


@pytest.mark.parametrize("scanner", SCANNER_NAMES)
def test_do_scanner_is_the_image_of_who_was_there(small: Cohort, scanner: str) -> None:
    under = true_counterfactual(small, np.arange(len(small)), {"scanner": scanner})
    own = small.rows(scanners=[scanner])
    np.testing.assert_array_equal(under[own], small.images[own])
    other = np.setdiff1d(np.arange(len(small)), own)
    assert (under[other] != small.images[other]).any(axis=(1, 2)).all()


def test_do_scanner_renders_the_same_radiance_with_the_same_noise(small: Cohort) -> None:
    row = small.table.iloc[[5]]
    patient, image = (int(row[name].iloc[0][-6:]) for name in ("patient_id", "image_id"))
    noise = exogenous(DRAWS, 0, 0, np.array([patient]), np.array([image]), (32, 32))
    density = radiance(
        noise,
        (row["sex"] == "F").to_numpy(),
        row["age"].to_numpy(),
        (row["label"] == 1).to_numpy(),
        PhantomChestOptions().lesion_contrast,
    )
    options = PhantomChestOptions(**SMALL)
    for name, scanner in SCANNERS["strong"].items():
        shown = counterfactual(options, row, {"scanner": name})
        np.testing.assert_array_equal(shown, render(density, scanner, noise.sensor))
        clean = counterfactual(options, row, {"scanner": name}, noise=False)
        np.testing.assert_array_equal(clean, render(density, scanner))


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


def test_do_both_is_both(small: Cohort) -> None:
    rows = small.rows("train")
    both = true_counterfactual(small, rows, {"scanner": "Eos", "sex": "F"})
    women = small.table["sex"].iloc[rows].to_numpy() == "F"
    np.testing.assert_array_equal(
        both[women], true_counterfactual(small, rows[women], {"scanner": "Eos"})
    )
    assert (both[~women] != true_counterfactual(small, rows[~women], {"scanner": "Eos"})).any()


@pytest.mark.parametrize("do", [{"label": "1"}, {"scanner": "Zephyr"}, {"sex": "X"}])
def test_unknown_interventions_are_refused(small: Cohort, do: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="it is one of"):
        true_counterfactual(small, np.array([0]), do)


def test_letters_only_where_a_scanner_has_them(small: Cohort) -> None:
    rows = np.arange(len(small))
    bright = {}
    for name in SCANNER_NAMES:
        mean = true_counterfactual(small, rows, {"scanner": name}, noise=False).mean(0)
        bright[name] = (mean[1:4, 1:5].max(), mean[1:4, 25:31].max())
    letters = {name: s.text_position for name, s in SCANNERS["strong"].items() if s.text}
    assert set(letters) == {"Cirrus", "Eos"}
    dark_left = [bright[name][0] for name in SCANNER_NAMES if name != "Cirrus"]
    assert bright["Cirrus"][0] > 120 > max(dark_left)
    assert bright["Eos"][1] > 120


# Options


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"size": 48},
        {"n_train": 61},
        {"n_val": 31},
        {"n_test_per_scanner": 13},
        {"regime": "mild"},
        {"shares": {"Aurora": 0.5, "Boreal": 0.4, "Cirrus": 0.1}},
        {"prevalence": 0.6},
        {"lesion_contrast": (0.3, 0.5)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_option_reaches_the_cohort(
    small: Cohort, tmp_path: Path, change: dict[str, Any]
) -> None:
    assert _made(tmp_path / "cohort", **change).checksum != small.checksum


# One sex rarer and harder


def test_the_sexes_are_alike_unless_asked(small: Cohort, tmp_path: Path) -> None:
    named = _made(tmp_path / "named", female_share=0.5, female_contrast=1.0)
    assert named.checksum == small.checksum
    assert named.info["caveats"] == small.info["caveats"]


def test_women_can_be_rarer_and_their_opacities_fainter(small: Cohort, tmp_path: Path) -> None:
    made = _made(tmp_path / "made", female_share=0.25, female_contrast=0.5)
    assert "25%" in made.info["caveats"][-1]
    assert (made.table["sex"] == "F").mean() == pytest.approx(0.25, abs=0.08)
    np.testing.assert_array_equal(made.table["label"], small.table["label"])
    men = made.table["sex"] == "M"
    always_men = np.flatnonzero(men & (small.table["sex"] == "M"))
    np.testing.assert_array_equal(made.images[always_men], small.images[always_men])
    ill = made.table["label"] == 1
    women = np.flatnonzero((made.table["sex"] == "F") & (small.table["sex"] == "F") & ill)
    changed = (made.images[women] != small.images[women]).any(axis=(1, 2))
    assert changed.all()
    healthy = np.flatnonzero((made.table["sex"] == "F") & (small.table["sex"] == "F") & ~ill)
    np.testing.assert_array_equal(made.images[healthy], small.images[healthy])


def test_every_option_is_tested_above() -> None:
    tested = {"seed", "size", "n_train", "n_val", "n_test_per_scanner", "regime", "shares"}
    tested |= {"scanner_set", "prevalence", "lesion_contrast", "female_share", "female_contrast"}
    assert set(PhantomChestOptions.model_fields) == tested | {"name", "source"}


def test_another_scanner_set_takes_the_images(tmp_path: Path) -> None:
    shares = {"Fjord": 0.5, "Gale": 0.5}
    cohort = _made(tmp_path / "cohort", scanner_set="mammography", shares=shares)
    assert {*cohort.scanners, *cohort.held_out_scanners} == set(MAMMOGRAPHS["strong"])
    assert true_counterfactual(cohort, np.array([0]), {"scanner": "Haven"}).any()


def test_the_named_scanners_are_the_pretraining_ones(tmp_path: Path) -> None:
    cohort = _made(tmp_path / "cohort", shares={"Eos": 0.25, "Aurora": 0.75})
    assert cohort.scanners == ("Eos", "Aurora")
    assert cohort.held_out_scanners == ("Boreal", "Cirrus", "Dorado")
    assert len(cohort.rows("train", ["Eos"])) == pytest.approx(15, abs=1)
    assert len(cohort.rows("val", ["Eos"])) == 15


def test_lesion_contrast_changes_positives_only(small: Cohort, tmp_path: Path) -> None:
    other = _made(tmp_path / "cohort", lesion_contrast=(0.3, 0.5))
    changed = (other.images != small.images).any(axis=(1, 2))
    np.testing.assert_array_equal(changed, small.table["label"].to_numpy() == 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 16},
        {"shares": {"Aurora": 1.0}},
        {"shares": {"Aurora": 0.5, "Boreal": 0.4}},
        {"shares": {"Aurora": 0.5, "Zephyr": 0.5}},
        {"lesion_contrast": (0.4, 0.1)},
        {"prevalence": 0.0},
        {"regime": "weak"},
        {"unheard_of": 1},
    ],
    ids=str,
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        PhantomChestOptions(**wrong)


# The regime: what the scanners and classes look like to a statistician


def test_shares_prevalence_and_independence(larger: Cohort) -> None:
    train = larger.table.iloc[larger.rows("train")]
    share = train["scanner"].value_counts(normalize=True)
    for name, expected in PhantomChestOptions().shares.items():
        assert share[name] == pytest.approx(expected, abs=0.005)
    assert larger.table["label"].mean() == pytest.approx(0.35, abs=0.035)
    for column in ("scanner", "sex"):
        for _, group in larger.table.groupby(column):
            error = np.sqrt(0.35 * 0.65 / len(group))
            assert abs(group["label"].mean() - 0.35) < 3.5 * error
    women = larger.table.groupby("scanner")["sex"].apply(lambda sex: (sex == "F").mean())
    assert women.between(0.33, 0.67).all()


def _features(cohort: Cohort, rows: np.ndarray) -> np.ndarray:
    images = cohort.images[rows].reshape(len(rows), 16, 4, 16, 4).mean((2, 4))
    return images.reshape(len(rows), -1) / 255 - 0.5


def test_pixels_tell_the_scanner_and_only_partly_the_finding(larger: Cohort) -> None:
    train, test = larger.rows("train"), larger.rows("test", "pretraining")
    x, x_test = _features(larger, train), _features(larger, test)
    scanner = larger.codes("scanner", train)
    model = LogisticRegression(max_iter=300).fit(x, scanner)
    assert model.score(x_test, larger.codes("scanner", test)) > 0.97
    label = larger.table["label"].to_numpy()
    model = LogisticRegression(C=0.1, max_iter=300).fit(x, label[train])
    auc = roc_auc_score(label[test], model.decision_function(x_test))
    assert 0.6 < auc < 0.9


def test_strong_scanners_differ_by_more_than_the_classes(larger: Cohort) -> None:
    rows = larger.rows("test", "pretraining")
    label = larger.table["label"].iloc[rows].to_numpy()
    shown = [
        true_counterfactual(larger, rows, {"scanner": name}, noise=False).astype(float)
        for name in larger.scanners
    ]
    for i, image in enumerate(shown):
        between_classes = np.abs(image[label == 1].mean(0) - image[label == 0].mean(0)).mean()
        for other in shown[:i] + shown[i + 1 :]:
            assert np.abs(image - other).mean() > 2 * between_classes


def test_is_called_what_it_is_told(tmp_path: Path) -> None:
    few = {"n_train": 4, "n_val": 4, "n_test_per_scanner": 1}
    assert _made(tmp_path / "named", name="rarer-sex", **few).name == "rarer-sex"
    assert _made(tmp_path / "unnamed", **few).name == "phantom-chest"
