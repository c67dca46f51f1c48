"""mini-MIAS in the publisher's layout: made-up films, and the real ones where they are there."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from companion.cohorts.cohort import Cohort
from companion.cohorts.errors import CohortError
from companion.cohorts.importing import writer
from companion.cohorts.registry import build
from companion.cohorts.releases.mini_mias import MiniMiasOptions
from companion.cohorts.simulation.scanners import MAMMOGRAPHS, render
from companion.cohorts.truths import true_counterfactual
from tests.cohorts.releases import PROSE, WOMEN, MiniMias, files_of


def imported(mias: MiniMias, name: str = "cohort", **options: Any) -> Cohort:
    made = MiniMiasOptions.model_validate({"size": 12, "width": 9} | options)
    return build(made, mias.root, mias.root.parent / name)


# The table


def test_the_list_becomes_the_table(mias: MiniMias) -> None:
    mias.lines[4] = "mdb005 F CIRC B 477 133 30"
    mias.lines[5:5] = ["mdb005 F CIRC B 500 168 26"]  # a second finding on the same film
    mias.lines[6] = "MDB006 f NORM"
    mias.save()
    cohort = imported(mias)
    assert len(cohort) == 2 * WOMEN
    assert cohort.classes == ("fatty", "fatty-glandular", "dense-glandular")
    assert list(cohort.table["label"][:8]) == [0, 0, 1, 1, 0, 0, 0, 0]
    assert list(cohort.table["image_id"][:2]) == ["mdb001", "mdb002"]
    assert set(cohort.table["sex"]) == {"F"}
    assert cohort.table["age"].isna().all()
    assert any("simulated" in caveat for caveat in cohort.info["caveats"])


def test_consecutive_films_are_of_one_woman_in_one_split_on_one_scanner(mias):
    table = imported(mias).table
    pairs = table["image_id"].str[3:].astype(int).sub(1) // 2
    assert table.groupby("patient_id").size().eq(2).all()
    for column in ("patient_id", "split", "scanner"):
        assert table.groupby(pairs)[column].nunique().max() == 1


# Images and truth


def test_the_truth_renders_the_frame_on_the_asked_scanner(mias: MiniMias) -> None:
    cohort = imported(mias, display_gamma=1.5, scanner_seed=3)
    every = np.arange(len(cohort))
    np.testing.assert_array_equal(true_counterfactual(cohort, every, {}), cohort.images)
    radiance = (np.load(cohort.folder / "frames.npy") / np.float32(255)) ** np.float32(1.5)
    for name in (*cohort.scanners, *cohort.held_out_scanners):
        settings = MAMMOGRAPHS["strong"][name]
        clean = true_counterfactual(cohort, every, {"scanner": name}, noise=False)
        np.testing.assert_array_equal(clean, render(radiance, settings))
        noisy = true_counterfactual(cohort, every, {"scanner": name})
        own = cohort.rows(scanners=[name])
        np.testing.assert_array_equal(noisy[own], cohort.images[own])
        if settings.noise:
            assert (noisy != clean).any(axis=(1, 2)).all()


def test_the_sensor_noise_is_the_image_s_own(mias):
    cohort = imported(mias, size=64, width=48)
    asked = cohort, np.arange(20), {"scanner": "Haven"}
    noisy, clean = (true_counterfactual(*asked, noise=n).astype(float) for n in (True, False))
    flat = (noisy - clean).reshape(20, -1)
    correlation = np.corrcoef(flat / flat.std(1, keepdims=True))
    assert np.abs(correlation - np.eye(20)).max() < 0.1


def test_unknown_interventions_and_missing_frames_are_named(mias: MiniMias) -> None:
    cohort = imported(mias)
    with pytest.raises(ValueError, match="it is one of"):
        true_counterfactual(cohort, np.array([0]), {"scanner": "Aurora"})
    (cohort.folder / "frames.npy").unlink()
    with pytest.raises(FileNotFoundError, match="import again"):
        true_counterfactual(cohort, np.array([0]), {})


def test_interrupted_while_rendering_goes_on_with_the_same_bytes(mias, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(writer, "describe", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            imported(mias)
    partial = mias.root.parent / ".cohort.partial"
    (partial / "images.npy").write_bytes(b"half")
    monkeypatch.setattr(writer, "read_frame", None)  # nothing is read again
    resumed = files_of(imported(mias).folder)
    monkeypatch.undo()
    assert resumed == files_of(imported(mias, "whole").folder)


# Bad input


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("mdb003 X NORM", "row 7: unknown background tissue 'X', expected one of"),
        ("mdb003", "row 7: unknown background tissue ''"),
        ("mdb002 D NORM", "row 7: film 'mdb002' has another tissue than in row 6"),
    ],
)
def test_bad_line_is_named(mias: MiniMias, line: str, message: str) -> None:
    mias.lines[2] = line
    mias.save()
    with pytest.raises(CohortError, match=f"Info.txt, {message}"):
        imported(mias)
    assert [path.name for path in mias.root.parent.iterdir()] == ["mias"]


def test_missing_list_and_list_without_films(mias: MiniMias) -> None:
    (mias.root / "Info.txt").write_text("\n".join(PROSE))
    with pytest.raises(CohortError, match="lists no film"):
        imported(mias)
    (mias.root / "Info.txt").unlink()
    with pytest.raises(CohortError, match=r"Info\.txt is missing"):
        imported(mias)


# The real films


def test_the_real_films(shared_data: Path, tmp_path: Path) -> None:
    cohort = build(MiniMiasOptions(), shared_data / "mini-mias-256", tmp_path / "cohort")
    assert cohort.images.shape == (322, 64, 48)
    assert list(np.bincount(cohort.table["label"])) == [106, 104, 112]
    assert cohort.table["patient_id"].nunique() == 161
    for split in ("val", "test"):
        scanners = cohort.scanners if split == "val" else (*cohort.scanners, "Kestrel")
        for scanner in scanners:
            labels = cohort.table["label"].to_numpy()[cohort.rows(split, [scanner])]
            assert np.bincount(labels, minlength=3).min() >= 4
    rows = np.arange(0, 322, 10)
    np.testing.assert_array_equal(true_counterfactual(cohort, rows, {}), cohort.images[rows])
