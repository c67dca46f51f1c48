"""The recorded study: what is kept of an experiment, and what the repository keeps."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from benchmarks import simulations
from companion.book import record, recording, report
from companion.book.record import Record
from companion.claims import judging, ledger
from companion.claims.judging import judge
from companion.cohorts.cohort import Cohort
from companion.engine.csv_files import read_table
from companion.engine.runs import Run
from companion.experiments.config import Experiment
from tests import pages
from tests.evaluation import made_up

STORED = sorted(record.FOLDER.glob("*/record.json"))
stored = pytest.mark.parametrize("file", STORED, ids=lambda file: file.parent.name)


@stored
def test_the_stored_verdicts_are_those_of_today_s_ledger(file: Path) -> None:
    kept = read_table(file.parent / recording.CLAIMS)
    now = judging.table(record.load(file.parent).findings)
    texts = now.select_dtypes(exclude="number").columns
    now[texts] = now[texts].astype(object).replace("", np.nan)
    assert_frame_equal(kept, now, check_dtype=False, rtol=1e-4, atol=1e-4)


@stored
def test_the_stored_record_names_no_place_and_holds_no_images(file: Path) -> None:
    assert {path.suffix for path in file.parent.iterdir()} <= {".csv", ".json"}
    assert sum(path.stat().st_size for path in file.parent.iterdir()) < 6e6
    for path in file.parent.iterdir():
        assert not re.search(r"\"/|/(home|root|tmp|work|Users|mnt|data)/", path.read_text())


@stored
def test_the_stored_record_says_where_it_comes_from(file: Path) -> None:
    shown = record.overview({"it": record.load(file.parent)}).iloc[0]
    assert (shown != "").all()
    assert set(record.load(file.parent).results["cohort"]) == {file.parent.name}
    assert "dirty" not in shown["revision of the code"]


@stored
def test_the_stored_record_holds_every_step_that_it_rests_on(file: Path) -> None:
    steps = record.load(file.parent).info["steps"]
    read = {digest for step in steps for digest in step["inputs"].values()}
    assert read <= {step["digest"] for step in steps}


def test_the_stored_simulations_are_those_of_today_s_intervals() -> None:
    kept = {name: record.simulated(name) for name in ("coverage", "verdicts")}
    assert kept["coverage"]["covered"].between(0.93, 0.97).all()
    three = kept["coverage"].loc[("over 3 pretraining seeds", "an effect")]
    now = simulations.seed_intervals(0.02, seeds=3, repetitions=5000)
    shares = ["covered", "called an effect"]
    assert three[shares].tolist() == pytest.approx([now.covered, now.excluded_zero])
    none = kept["verdicts"].filter(regex="no effect", axis=0)
    assert (none["supported"] + none["contradicted"] <= 0.06).all()


def test_keeps_the_tables_and_the_origin_of_every_step(kept: Record) -> None:
    assert kept.cohort == "phantom-chest"
    assert kept.setting.scanners == ("A", "B")
    assert set(kept.results["strategy"]) == {"standard", "counterfactual"}
    (step,) = kept.info["steps"]
    assert set(step["options"]) == {"simclr", "strategy", "seed"}  # not the data root
    assert record.overview({"it": kept})["hours, one step after another"].tolist() == ["2.0"]
    places = kept.table("map")
    assert places is not None
    assert list(places.columns) == ["x", "y", "strategy", "scanner", "label"]
    assert kept.table("no-such") is None


def test_what_is_kept_is_judged_as_the_results_were(kept: Record) -> None:
    shown = {each.claim.id: each.verdict for each in kept.findings}
    assert shown["C3"] == "supported"
    assert (record.verdicts({"it": kept})["phantom-chest"] == list(shown.values())).all()
    tests = record.tests(kept)
    assert tests.loc["C3", "effect"] == pytest.approx(0.03, abs=0.002)
    assert tests["verdict"].ne("not tested here").all()


def test_keeps_what_the_tables_come_from_and_nothing_else(experiment, tmp_path, monkeypatch):
    root, other = tmp_path / "profile" / "mine", tmp_path / "profile" / "other"
    mine = experiment.model_copy(update={"root": root, "external": ("other",)})
    made_run(other, "cohort", "unread")
    theirs = made_run(other, "cohort", "c")
    made_run(root, "bank", "b", cohort="c")
    made_run(root, "bank", "stale", cohort="c")
    results = made_run(root, "results", "r", bank="b", cohort="c")
    monkeypatch.setattr(recording, "collect_results", lambda _: results)
    monkeypatch.setattr(recording, "measure_quality", lambda *_: results)
    assert [run.digest for run in recording._steps(mine)] == ["b", "c", "r"]
    shutil.rmtree(theirs.folder)
    with pytest.raises(FileNotFoundError, match=r"made from cohort c, which is gone from"):
        recording._steps(mine)


def made_run(root: Path, step: str, digest: str, **inputs: str) -> Run:
    folder = root / step / digest
    folder.mkdir(parents=True)
    about = {"step": step, "label": "", "digest": digest, "inputs": inputs}
    (folder / "run.json").write_text(json.dumps(about))
    return Run(folder, about)


def test_an_older_record_is_replaced_as_a_whole(kept: Record, experiment: Experiment) -> None:
    study = kept.folder.parent
    (kept.folder / "old.csv").write_text("a\n1\n")
    again = recording.keep(experiment, study)
    assert again.folder == kept.folder
    assert not (again.folder / "old.csv").exists()
    assert [path.name for path in study.iterdir()] == ["phantom-chest"]
    assert list(record.load_all(study)) == ["phantom-chest"]


def test_a_failure_leaves_the_older_record(kept, experiment, monkeypatch):
    def fail(_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(recording, "pretraining_costs", fail)
    with pytest.raises(OSError, match="No space"):
        recording.keep(experiment, kept.folder.parent)
    assert record.load(kept.folder).info == kept.info


def test_what_cannot_be_kept_or_is_missing_is_said(experiment, tmp_path):
    none = experiment.pretraining.model_copy(update={"strategies": {}})
    with pytest.raises(ValueError, match="pretrains nothing"):
        recording.keep(experiment.model_copy(update={"pretraining": none}))
    with pytest.raises(FileNotFoundError, match=r"record\.json is missing: `make study`"):
        record.load(tmp_path)
    assert record.load_all(tmp_path) == {}


def test_the_claims_page_shows_the_record_beside_the_reader_s_run(kept: Record) -> None:
    mine = judge(ledger.load(), made_up.evidence(made_up.papers_results(seeds=(0,))))
    page = report.claims_page(mine, pages.small_cohort(), "quick", recorded=kept.findings)
    (line,) = [line for line in page.splitlines() if line.startswith("| **C3** ")]
    assert "<br>in the record: +0.03" in line
    assert "*In the record:* **supported**" in line
    assert "(one seed)**" in line
    assert "record" not in report.claims_page(mine, pages.small_cohort(), "quick")


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patched:
        yield patched


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> Experiment:
    """A finished experiment whose steps are made up."""
    tmp_path = tmp_path_factory.mktemp("experiment")
    folder = tmp_path / "runs" / "results" / "0"
    folder.mkdir(parents=True)
    results = made_up.results(
        made_up.encoder("standard"), made_up.encoder("counterfactual", made_up.papers_shape)
    ).assign(cohort="phantom-chest", test_cohort="phantom-chest")
    results.to_csv(folder / "results.csv", index=False)
    made_up.quality().to_csv(folder / "quality.csv", index=False)
    pages._separability(["simclr"]).assign(n=12).to_csv(folder / "separability.csv", index=False)
    pages._separability(["simclr"]).to_csv(folder / "confusion.csv", index=False)
    options = {"simclr": {}, "strategy": "counterfactual", "seed": 0, "data_root": "/home/me"}
    about = {"step": "pretraining", "label": "", "digest": "0", "options": options}
    about |= {"seconds": 7200.0, "finished": "2026-01-01", "device": "CPU", "git_revision": "abc"}
    about |= {"inputs": {}}
    (folder / "run.json").write_text(json.dumps(about))
    run = Run(folder, about)
    base = pages.only("simclr")
    strategies = {"simclr": ("standard", "counterfactual")}
    mine = base.pretraining.model_copy(update={"strategies": strategies})
    images = pages.small_cohort()
    info = {"checksum": "0", "name": "phantom-chest", "held_out_scanners": ["C"]}
    images = replace(images, info={**images.info, **info})
    fakes: dict[str, Any] = {
        "make_cohort": lambda _: run,
        "collect_results": lambda _: run,
        "measure_quality": lambda *_: run,
        "pretraining_costs": lambda _: pd.DataFrame({"step": ["generator"], "seconds": [1.0]}),
        "pretraining_history": lambda *_: pages._history(),
        "pair_similarities": lambda _: pages._similarities(),
        "embeddings": lambda *_: _features(len(images.rows("test"))),
    }
    for name, fake in fakes.items():
        patch.setattr(recording, name, fake)
    patch.setattr(Cohort, "load", lambda _: images)
    return base.model_copy(update={"root": tmp_path / "runs", "pretraining": mine})


def _features(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(n, 6)).astype(np.float32) for name in ("standard", "random")}


@pytest.fixture(scope="module")
def kept(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Record:
    return recording.keep(experiment, tmp_path_factory.mktemp("study") / "study")
