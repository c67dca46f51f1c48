"""What every phantom promises: known truth, a table of its images, scanners that are told apart."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from companion.cohorts.cohort import Cohort, checksum
from companion.cohorts.registry import OPTIONS
from companion.cohorts.simulation import phantom as simulator
from companion.cohorts.truths import has_truth, true_counterfactual
from tests.cohorts.releases import PHANTOMS, phantom

# Of which pretraining and held-out scanners, and other shares among the same.
SCANNERS = {
    "phantom-chest": (("Aurora", "Boreal", "Cirrus"), ("Dorado", "Eos")),
    "phantom-breast": (("Fjord", "Gale", "Haven", "Iris", "Juno"), ("Kestrel",)),
}
each_phantom = pytest.mark.parametrize("source", PHANTOMS)


def evenly(source: str) -> dict[str, float]:
    """The default pretraining scanners, with as many images each."""
    names = SCANNERS[source][0]
    return dict.fromkeys(names, 1 / len(names))


@each_phantom
def test_the_table_describes_the_images(small: Any, source: str) -> None:
    cohort, (scanners, held_out) = small(source), SCANNERS[source]
    assert (cohort.scanners, cohort.held_out_scanners) == (scanners, held_out)
    n = 60 + 30 + 12 * len(scanners + held_out)
    assert cohort.images.shape == (n, *cohort.images.shape[1:])
    assert (cohort.info["height"], cohort.info["width"]) == cohort.images.shape[1:]
    assert cohort.table["image_id"].is_unique
    assert set(cohort.table["sex"]) == set(OPTIONS[source]().sexes)
    assert cohort.table["age"].between(18, 90).all()
    assert cohort.info["checksum"] == checksum(cohort.images, cohort.table)
    assert cohort.info["caveats"]
    assert cohort.info["citation"]
    for split in ("train", "val"):
        assert not len(cohort.rows(split, "held_out"))
    for split, cells in cohort.info["counts"].items():
        for scanner, classes in cells.items():
            labels = cohort.table["label"].iloc[cohort.rows(split, [scanner])]
            assert list(classes.values()) == [(labels == k).sum() for k in range(len(classes))]
            assert split != "test" or len(labels) == 12


@each_phantom
def test_patients_are_in_one_split_and_some_have_several_images(small: Any, source: str) -> None:
    by_patient = small(source).table.groupby("patient_id")
    for column in ("split", "age", "sex"):
        assert by_patient[column].nunique().max() == 1
    assert set(by_patient.size()) == {1, 2, 3}


@each_phantom
def test_scanners_are_dealt_as_promised(source: str) -> None:
    options = OPTIONS[source]()
    train = options.deal("train", 1000)
    for start in (0, 500):  # every stretch has the shares
        stretch = train[start : start + 500]
        for name, share in options.shares.items():
            assert stretch.count(name) == pytest.approx(500 * share, abs=2.5)
    assert options.deal("val", 2 * len(options.scanners)) == [*options.scanners] * 2
    assert options.deal("test", len(options.every_scanner)) == [*options.every_scanner]


@each_phantom
def test_the_same_options_make_the_same_cohort_of_any_size(small, source, tmp_path):
    first, again = small(source), phantom(source, tmp_path / "again")
    assert again.checksum == first.checksum
    assert json.dumps(again.info) == json.dumps(first.info)
    more = phantom(source, tmp_path / "more", n_train=90)
    np.testing.assert_array_equal(first.images[first.rows("train")], more.images[:60])


def test_the_chest_s_images_and_table_are_what_they_were(small: Any) -> None:
    """As first made. Not of all bytes: another processor may round otherwise."""
    chest = small("phantom-chest")
    text = chest.table.to_csv(index=False, lineterminator="\n").encode()
    assert hashlib.sha256(text).hexdigest() == (
        "4e42099e857b14d71ae033e7a0b02868f1f7a704ed2beb51a971cceba4bcd004"
    )
    means = [131.28, 118.60, 135.14, 137.03, 121.66, 174.83]
    means += [140.39, 107.05, 180.93, 171.39, 121.37, 136.22]
    np.testing.assert_allclose(chest.images[::13].mean((1, 2)), means, atol=0.05)


@each_phantom
def test_an_interrupted_build_leaves_nothing_and_a_killed_one_is_no_hindrance(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            simulator, "describe", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            phantom(source, tmp_path / "cohort")
    assert not list(tmp_path.iterdir())
    (tmp_path / ".cohort.partial").mkdir()
    (tmp_path / ".cohort.partial" / "images.npy").write_bytes(b"half")
    assert phantom(source, tmp_path / "cohort", name="mine").name == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["cohort"]
    with pytest.raises(FileExistsError, match="remove it"):
        phantom(source, tmp_path / "cohort")


# Truth


@pytest.mark.parametrize(
    ("source", "frame"),
    [
        ("phantom-chest", {"size": 96}),
        ("phantom-chest", {"size": 256}),
        ("phantom-breast", {"height": 32, "width": 256}),
        ("phantom-breast", {"height": 100, "width": 33}),
    ],
)
def test_the_null_intervention_is_the_stored_image(source, frame, tmp_path):
    sizes = {"n_train": 9, "n_val": 3, "n_test_per_scanner": 1}
    cohort = phantom(source, tmp_path / "c", **sizes, **frame)
    assert cohort.images.shape[1:] == (*frame.values(), *frame.values())[:2]
    rows = np.array([len(cohort) - 1, 3, 7, 3, 0])  # in any order, and again
    np.testing.assert_array_equal(true_counterfactual(cohort, rows, {}), cohort.images[rows])
    assert true_counterfactual(cohort, rows[:0], {}).shape == (0, *cohort.images.shape[1:])


@each_phantom
def test_do_scanner_is_the_image_that_the_other_scanner_would_have_taken(small, source, tmp_path):
    """Of the same patients and noise, dealt to other scanners: what they took there."""
    cohort = small(source)
    other = phantom(source, tmp_path / "cohort", shares=dict(reversed(evenly(source).items())))
    scanners = [cohort.table["scanner"], other.table["scanner"]]
    moved = np.flatnonzero(scanners[0] != scanners[1])
    assert set(scanners[1][moved]) == set(cohort.scanners)
    for name in cohort.scanners:
        rows = moved[scanners[1][moved] == name]
        under = true_counterfactual(cohort, rows, {"scanner": name})
        np.testing.assert_array_equal(under, other.images[rows])
        assert (under != cohort.images[rows]).any(axis=(1, 2)).all()
    for held_out in cohort.held_out_scanners:
        under = true_counterfactual(cohort, np.arange(len(cohort)), {"scanner": held_out})
        same = (under == cohort.images).all(axis=(1, 2))
        np.testing.assert_array_equal(same, scanners[0] == held_out)


@each_phantom
@pytest.mark.parametrize("variable", ["label", "scanner", "sex", "age"])
def test_unknown_interventions_are_refused(small: Any, source: str, variable: str) -> None:
    with pytest.raises(ValueError, match=rf"{variable}.*it is one of"):
        true_counterfactual(small(source), np.array([0]), {variable: "X"})


def test_real_cohorts_know_no_truth(small: Any) -> None:
    chest = small("phantom-chest")
    info = {**chest.info, "source": "nih", "source_options": {}}
    real = Cohort(chest.folder, info, chest.images, chest.table)
    assert has_truth(chest)
    assert not has_truth(real)
    with pytest.raises(LookupError, match="not simulated"):
        true_counterfactual(real, np.array([0]), {})


# Options


BOTH: list[dict[str, Any]] = [
    {"seed": 1},
    {"n_train": 61},
    {"n_val": 31},
    {"n_test_per_scanner": 13},
    {"regime": "mild"},
]
CHANGES: dict[str, list[dict[str, Any]]] = {
    "phantom-chest": [
        *BOTH,
        {"size": 48},
        {"shares": {"Eos": 0.5, "Boreal": 0.4, "Cirrus": 0.1}},
        {"scanner_set": "mammography", "shares": {"Fjord": 0.5, "Gale": 0.5}},
        {"prevalence": 0.6},
        {"lesion_contrast": (0.3, 0.5)},
        {"female_share": 0.25},
        {"female_contrast": 0.5},
    ],
    "phantom-breast": [
        *BOTH,
        {"height": 48},
        {"width": 40},
        {"shares": {"Fjord": 0.5, "Gale": 0.5}},
        {"scanner_set": "radiography", "shares": {"Aurora": 0.5, "Boreal": 0.5}},
        {"prevalence": {"A": 0.25, "B": 0.25, "C": 0.25, "D": 0.25}},
        {"age_effect": 0.0},
        {"implants": 0.5},
    ],
}


@pytest.mark.parametrize(
    ("source", "change"),
    [(source, change) for source, changes in CHANGES.items() for change in changes],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_every_option_reaches_the_cohort(small, source, change, tmp_path):
    cohort = phantom(source, tmp_path / "cohort", **change)
    assert cohort.checksum != small(source).checksum
    if "shares" in change:
        assert cohort.scanners == tuple(change["shares"])


@each_phantom
def test_every_option_is_tested_above(source: str) -> None:
    tested = {name for change in CHANGES[source] for name in change}
    assert set(OPTIONS[source].model_fields) == tested | {"name", "source"}


# What scanners and classes look like to a statistician


@pytest.mark.parametrize(
    ("source", "sizes"),
    [
        ("phantom-chest", {"size": 64, "n_train": 200, "n_test_per_scanner": 24}),
        ("phantom-breast", {"height": 64, "width": 56, "n_train": 450, "n_test_per_scanner": 60}),
    ],
)
def test_scanners_are_told_apart_and_differ_by_more_than_the_classes(source, sizes, tmp_path):
    cohort = phantom(source, tmp_path / "cohort", shares=evenly(source), **sizes)
    train, test = cohort.rows("train"), cohort.rows("test", "pretraining")
    model = LogisticRegression(max_iter=300)
    model.fit(_features(cohort.images[train]), cohort.codes("scanner", train))
    assert model.score(_features(cohort.images[test]), cohort.codes("scanner", test)) > 0.95
    dense = cohort.table["label"].iloc[test].to_numpy() >= len(cohort.classes) / 2
    shown = [
        true_counterfactual(cohort, test, {"scanner": name}, noise=False).astype(float)
        for name in cohort.scanners
    ]
    for i, image in enumerate(shown):
        between_classes = np.abs(image[dense].mean(0) - image[~dense].mean(0)).mean()
        for other in shown[:i] + shown[i + 1 :]:
            assert np.abs(image - other).mean() > 1.5 * between_classes


def _features(images: np.ndarray) -> np.ndarray:
    n, height, width = images.shape
    blocks = images.reshape(n, height // 4, 4, width // 4, 4).mean((2, 4))
    return blocks.reshape(n, -1) / 255 - 0.5
