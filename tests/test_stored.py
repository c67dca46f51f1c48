"""Stored files that were damaged are named with what to do, and none can run code."""

import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from ccl.generator.batches import WeightedBatches
from ccl.objectives.batches import PairBatches
from ccl.pairs import Pairs
from companion.cli import app
from companion.cohorts import bank as banks
from companion.cohorts import registry
from companion.cohorts.bank import BankOptions
from companion.cohorts.cohort import Cohort
from companion.cohorts.simulation.phantom_chest import PhantomChestOptions
from companion.engine import storage
from companion.engine.csv_files import read_table
from companion.engine.runs import Run, Step
from companion.engine.storage import DamagedFileError
from companion.quality.classifier import scanner_target
from tests.payload import Payload

Kind = tuple[str, Callable[[Path], Any], Callable[[Path], Any]]
TABLE = pd.DataFrame({"scanner": ["NA", "B"], "value": [0.5, 0.25]})
KINDS: list[Kind] = [
    ("a.npy", lambda p: storage.write_npy(p, np.arange(9000)), storage.read_npy),
    (
        "a.safetensors",
        lambda p: storage.write_safetensors(p, {"w": torch.arange(900)}),
        storage.read_safetensors,
    ),
    ("a.parquet", lambda p: TABLE.to_parquet(p, index=False), storage.read_parquet),
    ("a.csv", lambda p: TABLE.to_csv(p, index=False), read_table),
    ("a.json", lambda p: p.write_text(json.dumps({"a": 1})), storage.read_json),
]


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 5)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def replace_by_payload(file: Path) -> None:
    file.write_bytes(pickle.dumps(Payload(file.with_name("ran"))))


def says(file: Path, doomed: str) -> str:
    """Pattern of what is said of a damaged file."""
    return rf"^{re.escape(str(file))} is damaged \(.*\)\. Delete {re.escape(doomed)} and give"


@pytest.mark.parametrize("kind", KINDS, ids=[name for name, _, _ in KINDS])
@pytest.mark.parametrize("damage", [cut, empty, replace_by_payload])
@pytest.mark.parametrize("finished", [True, False])
def test_what_is_damaged_is_named(kind, damage, finished, tmp_path):
    name, write, read = kind
    file = tmp_path / name
    if finished:
        (tmp_path / "run.json").touch()
    write(file)
    read(file)
    damage(file)
    doomed = f"the folder {tmp_path}" if finished else "it"
    with pytest.raises(DamagedFileError, match=says(file, doomed)):
        read(file)
    assert not (tmp_path / "ran").exists()


def test_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    np.save(file, np.array([Payload(tmp_path / "ran")], dtype=object), allow_pickle=True)
    with pytest.raises(DamagedFileError, match=says(file, "it")):
        storage.read_npy(file)
    assert not (tmp_path / "ran").exists()


def test_an_archive_or_a_longer_file_is_no_array(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    storage.write_npy(file, np.arange(9))
    with file.open("ab") as longer:
        longer.write(b"more")
    with pytest.raises(DamagedFileError, match="longer than its"):
        storage.read_npy(file)
    with file.open("wb") as archive:
        np.savez(archive, a=np.arange(3))
    with pytest.raises(DamagedFileError, match="an archive, not an array"):
        storage.read_npy(file)


@pytest.fixture
def phantom(tmp_path: Path) -> Cohort:
    options = PhantomChestOptions(size=32, n_train=60, n_val=12, n_test_per_scanner=12)
    return registry.build(options, None, tmp_path / "cohort")


def test_a_damaged_cohort_or_bank_is_named(phantom: Cohort, tmp_path: Path) -> None:
    banks.make_from_truth(phantom, BankOptions(), tmp_path)
    for file in ("counterfactuals.npy", "rows.npy", "bank.json"):
        whole = (tmp_path / file).read_bytes()
        cut(tmp_path / file)
        with pytest.raises(DamagedFileError, match=says(tmp_path / file, "it")):
            banks.load(tmp_path, phantom)
        (tmp_path / file).write_bytes(whole)
    for file in ("images.npy", "table.parquet", "cohort.json"):
        whole = (phantom.folder / file).read_bytes()
        cut(phantom.folder / file)
        with pytest.raises(DamagedFileError, match=says(phantom.folder / file, "it")):
            Cohort.load(phantom.folder)
        (phantom.folder / file).write_bytes(whole)


def test_a_file_that_shrinks_in_mid_epoch_is_named(phantom: Cohort, tmp_path: Path) -> None:
    banks.make_from_truth(phantom, BankOptions(), tmp_path)
    bank, rows = banks.load(tmp_path, phantom), phantom.rows("train")
    pairs = PairBatches(
        Pairs("counterfactual", phantom.images, bank), rows, batch_size=8, seed=0
    ).epoch(0)
    weighted = WeightedBatches(phantom, scanner_target(phantom), rows, 8, 1.0, 0).epoch(0)
    next(pairs), next(weighted)
    cut(tmp_path / "counterfactuals.npy")
    with pytest.raises(DamagedFileError, match=says(tmp_path / "counterfactuals.npy", "it")):
        next(pairs)
    cut(phantom.folder / "images.npy")
    with pytest.raises(DamagedFileError, match=says(phantom.folder / "images.npy", "it")):
        next(weighted)


def finished_step(root: Path) -> Run:
    def compute(folder: Path) -> None:
        for name, write, _ in KINDS:
            write(folder / name)

    return Step(root, "probe", {}, {}, ("ccl.pairs",)).run(compute)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    made = finished_step(tmp_path)
    cut(made.folder / "run.json")
    with pytest.raises(
        DamagedFileError, match=says(made.folder / "run.json", f"the folder {made.folder}")
    ):
        finished_step(tmp_path)


def verify(root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setattr("companion.experiments.plan.folder", lambda profile, cohort: root)
    answer = CliRunner().invoke(app, ["verify", "--profile", "tiny"])
    return answer.exit_code, answer.output


def test_verification_names_every_file_that_differs(tmp_path, monkeypatch):
    assert verify(tmp_path, monkeypatch) == (
        1,
        f"Error: {tmp_path} holds no finished step: there is nothing to verify\n",
    )
    folder = finished_step(tmp_path).folder
    (tmp_path / "probe" / "unfinished.partial").mkdir()
    (tmp_path / "probe" / "unfinished.partial" / "run.json").touch()
    assert verify(tmp_path, monkeypatch) == (
        0,
        "All files of 1 finished steps are what was written.\n",
    )
    content = bytearray((folder / "a.npy").read_bytes())
    content[-1] ^= 1  # which no reader notices
    (folder / "a.npy").write_bytes(content)
    (folder / "a.csv").unlink()
    code, said = verify(tmp_path, monkeypatch)
    assert code == 1
    assert said.splitlines() == [
        f"Error: {folder / 'a.csv'} is missing",
        f"Error: {folder / 'a.npy'} is not what was written: its checksum differs",
        f"Delete {folder}; the command that made it makes it anew.",
    ]
    cut(folder / "run.json")
    assert f"{folder / 'run.json'} is damaged" in verify(tmp_path, monkeypatch)[1]
