"""MedMNIST archives as published: made-up ones of any size, and the real PneumoniaMNIST."""

import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from companion.cohorts.cohort import Cohort
from companion.cohorts.errors import CohortError
from companion.cohorts.registry import build
from companion.cohorts.releases.medmnist import MedMnistOptions
from companion.cohorts.truths import true_counterfactual
from tests.cohorts.conftest import picture

SIZES = {"train": 40, "val": 12, "test": 30}


def made_up(side: int = 12) -> dict[str, np.ndarray]:
    """Distinct images in the publisher's layout, two classes."""
    arrays: dict[str, np.ndarray] = {}
    for split, n in SIZES.items():
        first = list(SIZES).index(split) * 100
        arrays[f"{split}_images"] = np.stack([picture(first + i, side) for i in range(n)])
        arrays[f"{split}_labels"] = (np.arange(n) % 3 == 0).astype(np.uint8)[:, None]
    return arrays


def _imported(
    tmp_path: Path,
    arrays: dict[str, Any],
    name: str = "cohort",
    on_bad_image: Any = "error",
    **options: Any,
) -> Cohort:
    root = tmp_path / "data"
    root.mkdir(exist_ok=True)
    np.savez_compressed(root / "pneumoniamnist.npz", **arrays)
    made = MedMnistOptions.model_validate({"size": 12} | options)
    return build(made, root, tmp_path / name, on_bad_image)


def test_the_arrays_become_the_cohort(tmp_path: Path) -> None:
    arrays = made_up()
    cohort = _imported(tmp_path, arrays)
    assert cohort.classes == ("normal", "pneumonia")
    assert cohort.table["patient_id"].is_unique
    assert any("patient of its own" in caveat for caveat in cohort.info["caveats"])
    tested = cohort.table["scanner"][cohort.rows("test")].value_counts()
    assert dict(tested) == dict.fromkeys((*cohort.scanners, "Dorado", "Eos"), 6)
    frames = np.load(cohort.folder / "frames.npy", allow_pickle=False)
    for split, n in SIZES.items():  # the publisher's splits, in the publisher's order
        rows = cohort.rows(split)
        assert len(rows) == n
        np.testing.assert_array_equal(frames[rows], arrays[f"{split}_images"])
        np.testing.assert_array_equal(
            cohort.table["label"].to_numpy()[rows], arrays[f"{split}_labels"][:, 0]
        )
    every = np.arange(len(cohort))
    np.testing.assert_array_equal(true_counterfactual(cohort, every, {}), cohort.images)


def test_options_reach_the_cohort(tmp_path: Path) -> None:
    changes = [{}, {"size": 16}, {"width": 8}, {"display_gamma": 1.0}, {"scanner_seed": 1}]
    made = {
        _imported(tmp_path, made_up(), str(i), **change).checksum
        for i, change in enumerate(changes)
    }
    assert len(made) == len(changes)


def test_classes_and_archive_are_options(tmp_path: Path) -> None:
    arrays = made_up()
    for split, n in SIZES.items():
        arrays[f"{split}_labels"] = np.arange(n) % 3  # without a second axis
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "other.npz", **arrays)
    options = MedMnistOptions(size=12, archive="other.npz", classes=("a", "b", "c"))
    cohort = build(options, tmp_path / "data", tmp_path / "cohort")
    assert cohort.classes == ("a", "b", "c")
    assert set(cohort.table["label"]) == {0, 1, 2}


def test_blank_image_is_named_or_skipped(tmp_path: Path) -> None:
    arrays = made_up()
    arrays["val_images"][5] = 77
    with pytest.raises(CohortError, match=r"row 5: image 'val_images/5' is blank"):
        _imported(tmp_path, arrays)
    cohort = _imported(tmp_path, arrays, on_bad_image="skip")
    assert len(cohort) == sum(SIZES.values()) - 1
    np.testing.assert_array_equal(
        true_counterfactual(cohort, np.arange(len(cohort)), {}), cohort.images
    )


# What becomes of the validation images or labels, and what is said of them.
SPOILED: list[tuple[str, Callable[[np.ndarray], np.ndarray | None], str]] = [
    ("val_images", lambda _: None, ": cannot be read"),
    ("val_labels", lambda _: None, ": cannot be read"),
    ("val_images", lambda x: np.stack([x] * 3, -1), r": uint8 \(12, 12, 12, 3\), expected grey"),
    ("val_images", lambda x: x / 255, r": float64 \(12, 12, 12\), expected grey"),
    ("val_images", np.asfortranarray, ": .* in Fortran's order"),
    ("val_labels", lambda x: x.repeat(14, 1), r": uint8 \(12, 14\), expected one whole number"),
    ("val_labels", lambda x: x[:-1], r": uint8 \(11, 1\), expected .* each of the 12 images"),
    ("val_labels", lambda x: x + np.arange(12)[:, None] // 11 * 2, ", row 11: label 2 has no name"),
    ("val_labels", lambda x: x / 2, ": float64"),
]


@pytest.mark.parametrize(("array", "spoil", "message"), SPOILED)
def test_bad_archive_says_which_array(tmp_path: Path, array: str, spoil: Any, message: str) -> None:
    arrays = made_up()
    arrays[array] = spoil(arrays[array])
    with pytest.raises(CohortError, match=f"pneumoniamnist.npz, {array}{message}"):
        _imported(tmp_path, {name: x for name, x in arrays.items() if x is not None})
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_missing_and_broken_archive(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(CohortError, match=r"pneumoniamnist\.npz is missing"):
        build(MedMnistOptions(), tmp_path / "data", tmp_path / "cohort")
    (tmp_path / "data" / "pneumoniamnist.npz").write_bytes(b"no archive")
    with pytest.raises(CohortError, match=r"pneumoniamnist\.npz, train_images: cannot be read"):
        build(MedMnistOptions(), tmp_path / "data", tmp_path / "cohort")


def test_images_are_streamed(tmp_path: Path) -> None:
    """The archive's images never are in memory together."""
    side, n = 128, {"train": 200, "val": 20, "test": 20}
    rng, arrays = np.random.default_rng(0), {}
    for split, number in n.items():
        arrays[f"{split}_images"] = rng.integers(0, 255, (number, side, side), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.arange(number)[:, None] % 2
    root = tmp_path / "data"
    root.mkdir()
    np.savez(root / "pneumoniamnist.npz", **arrays)
    tracemalloc.start()
    build(MedMnistOptions(size=8), root, tmp_path / "cohort")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * arrays["train_images"].nbytes


@pytest.mark.slow
def test_the_real_pneumoniamnist(shared_data: Path, tmp_path: Path) -> None:
    cohort = build(MedMnistOptions(), shared_data, tmp_path / "cohort")
    assert cohort.images.shape == (5856, 64, 64)
    assert [len(cohort.rows(split)) for split in SIZES] == [4708, 524, 624]
    rows = np.arange(0, 5856, 500)
    np.testing.assert_array_equal(true_counterfactual(cohort, rows, {}), cohort.images[rows])


def test_an_array_that_ends_early_is_named_with_the_row(tmp_path: Path) -> None:
    _imported(tmp_path, made_up(), "whole")
    whole = tmp_path / "data" / "pneumoniamnist.npz"
    with zipfile.ZipFile(whole) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    images = files["val_images.npy"]
    files["val_images.npy"] = images[: len(images) - 200]  # 12 images of 12 x 12 pixels
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(CohortError, match=r"val_images, row 10: the array ends here, 12 images"):
        build(MedMnistOptions(size=12), tmp_path / "data", tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()
