"""MedMNIST archives as published: made-up ones of any size, and the real PneumoniaMNIST."""

import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from companion.cohorts.cohort import Cohort
from companion.cohorts.errors import CohortError
from companion.cohorts.registry import build
from companion.cohorts.releases.medmnist import MedMnistOptions
from companion.cohorts.truths import true_counterfactual
from tests.cohorts.releases import MEDMNIST_SIZES as SIZES
from tests.cohorts.releases import medmnist, write_medmnist


def imported(
    tmp_path: Path, name: str = "cohort", on_bad_image: Any = "error", **options: Any
) -> Cohort:
    made = MedMnistOptions.model_validate({"size": 12} | options)
    return build(made, tmp_path / "data", tmp_path / name, on_bad_image)


def test_the_arrays_become_the_cohort(tmp_path: Path) -> None:
    arrays = medmnist()
    write_medmnist(tmp_path / "data")
    cohort = imported(tmp_path)
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


def test_classes_and_archive_are_options(tmp_path: Path) -> None:
    labels = {f"{split}_labels": np.arange(n) % 3 for split, n in SIZES.items()}
    write_medmnist(tmp_path / "data", **labels).rename(tmp_path / "data" / "other.npz")
    cohort = imported(tmp_path, archive="other.npz", classes=("a", "b", "c"))
    assert cohort.classes == ("a", "b", "c")
    assert set(cohort.table["label"]) == {0, 1, 2}


def test_blank_image_is_named_or_skipped(tmp_path: Path) -> None:
    write_medmnist(tmp_path / "data")
    whole = imported(tmp_path, "whole")
    images = medmnist()["val_images"]
    images[5] = 77
    write_medmnist(tmp_path / "data", val_images=images)
    with pytest.raises(CohortError, match=r"row 5: image 'val_images/5' is blank"):
        imported(tmp_path)
    cohort = imported(tmp_path, on_bad_image="skip")
    np.testing.assert_array_equal(cohort.images, np.delete(whole.images, SIZES["train"] + 5, 0))
    every = np.arange(len(cohort))
    np.testing.assert_array_equal(true_counterfactual(cohort, every, {}), cohort.images)


def header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    """What an array of another size than its file's begins with."""
    file = io.BytesIO()
    described = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()


IMAGES, LABELS = (medmnist()[f"val_{kind}"] for kind in ("images", "labels"))
# What becomes of the validation images or labels, and what is said of them.
SPOILED: list[tuple[str, np.ndarray | bytes | None, str]] = [
    ("val_images", None, ": cannot be read"),
    ("val_images", np.stack([IMAGES] * 3, -1), r": uint8 \(12, 12, 12, 3\), expected grey"),
    ("val_images", IMAGES / 255, r": float64 \(12, 12, 12\), expected grey"),
    ("val_images", np.asfortranarray(IMAGES), ": .* in Fortran's order"),
    ("val_images", header((12, 12, 12)) + IMAGES.tobytes()[:-200], ", row 10: the array ends here"),
    ("val_images", header((10**9, 28, 28)), ": .*claims 1000000000 images of 28 x 28"),
    ("val_images", header((12, 10**6, 10**6)), ": .*claims 12 images of 1000000 x"),
    ("val_labels", None, ": cannot be read"),
    ("val_labels", LABELS.repeat(14, 1), r": uint8 \(12, 14\), expected one whole number"),
    ("val_labels", LABELS[:-1], r": uint8 \(11, 1\), expected .* each of the 12 images"),
    ("val_labels", np.arange(12)[:, None] // 11 * 2, ", row 11: label 2 has no name"),
    ("val_labels", LABELS / 2, ": float64"),
    ("val_labels", header((10**11,)), ": .*(more than is read|cannot be read)"),
    ("val_labels", header((12,), "|S10000000000"), ": .*cannot be read"),
]


@pytest.mark.parametrize(("array", "spoilt", "message"), SPOILED)
def test_bad_archive_says_which_array(tmp_path, array, spoilt, message):
    write_medmnist(tmp_path / "data", **{array: spoilt})
    with pytest.raises(CohortError, match=f"pneumoniamnist.npz, {array}{message}"):
        imported(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_missing_broken_and_encrypted_archive(tmp_path: Path) -> None:
    file = write_medmnist(tmp_path / "data")
    content = bytearray(file.read_bytes())
    file.unlink()
    with pytest.raises(CohortError, match=r"pneumoniamnist\.npz is missing"):
        imported(tmp_path)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(signature)
        while place >= 0:
            content[place + offset] |= 1  # the flag of encryption
            place = content.find(signature, place + 1)
    for wrong in (b"no archive", content):
        file.write_bytes(wrong)
        with pytest.raises(CohortError, match=r"pneumoniamnist\.npz, train_images: cannot be read"):
            imported(tmp_path)


def test_labels_that_inflate_are_not_unpacked(tmp_path: Path, monkeypatch) -> None:
    """Zeros, of which a small archive can hold gigabytes."""
    write_medmnist(tmp_path / "data", val_labels=header((20_000,)) + bytes(20_000))
    monkeypatch.setattr("companion.cohorts.releases.medmnist._MOST_LABELS", 19_999)
    monkeypatch.setattr("companion.cohorts.releases.medmnist.SPLITS", ("val",))
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("was unpacked"))
    with pytest.raises(CohortError, match=r"val_labels: 20000 bytes, more than is read"):
        imported(tmp_path)


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
