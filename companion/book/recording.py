"""Keeps what finished experiments found in `study/`; see `companion.book.record`."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from companion.book import record
from companion.book.record import Record
from companion.claims import judging
from companion.claims.contrasts import Setting
from companion.cohorts.cohort import Cohort
from companion.cohorts.truths import has_truth
from companion.engine.csv_files import read_table, write_table
from companion.engine.files import write_atomically
from companion.engine.runs import Run, finished_steps
from companion.evaluation.cost import whole_record
from companion.evaluation.projections import project
from companion.experiments.cohort import make_cohort
from companion.experiments.config import Experiment
from companion.experiments.evaluation import CONFUSION_FILE, RESULTS_FILE, SEPARABILITY_FILE
from companion.experiments.length import LENGTH_FILE, train_long
from companion.experiments.pretraining import (
    pair_similarities,
    pretraining_costs,
    pretraining_history,
)
from companion.experiments.projections import embeddings
from companion.experiments.quality import measure_quality
from companion.experiments.results import collect_results
from companion.strategies import generators_to_judge

CLAIMS = "claims.csv"

_KEPT = (
    *("step", "label", "digest", "inputs", "options", "seconds", "peak_memory_mib"),
    "continued",
    *("finished", "git_revision", "device", "threads", "python", "versions"),
)


def keep(experiment: Experiment, folder: Path = record.FOLDER) -> Record:
    """Keeps what a finished experiment found; an older record of the cohort is replaced.

    Args:
        experiment: finished; what is missing would be computed.
        folder: receives a folder of the cohort's name.

    Raises:
        ValueError: the cohort can only test encoders, so that there is nothing to keep.
    """
    if not experiment.pretraining.encoders:
        raise ValueError(f"cohort '{experiment.cohort_name}' pretrains nothing that could be kept")
    images = Cohort.load(make_cohort(experiment).folder)
    info = _info(experiment, images)
    unfinished = folder / f".{experiment.cohort_name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name, table in _tables(experiment, images).items():
        # Six digits are what two machines of one kind agree on.
        write_table(table, unfinished / f"{name}.csv", float_format="%.6g")
    write_atomically(unfinished / record.INFO, json.dumps(info, indent=1) + "\n")
    made = judging.table(record.load(unfinished).findings)
    write_table(made, unfinished / CLAIMS, float_format="%.6g")
    final = folder / experiment.cohort_name
    shutil.rmtree(final, ignore_errors=True)
    unfinished.rename(final)
    return record.load(final)


def _info(experiment: Experiment, images: Cohort) -> dict[str, Any]:
    return {
        "cohort": experiment.cohort_name,
        "profile": experiment.profile_name,
        "setting": asdict(Setting.of(images)),
        "images": len(images),
        "classes": list(images.classes),
        "has_truth": has_truth(images),
        "caveats": images.info.get("caveats", []),
        "citation": images.info.get("citation", ""),
        "checksum": images.checksum,
        "steps": [_step(whole_record(run)) for run in _steps(experiment)],
    }


def _steps(experiment: Experiment) -> list[Run]:
    """Every run that the tables come from, with all that it read: no other, none is left out.

    Raises:
        FileNotFoundError: one is gone.
    """
    # Other cohorts that encoders are tested on have their runs beside this one's.
    roots = [experiment.root, *map(experiment.root.with_name, experiment.external)]
    folders = {folder.name: folder for root in roots for folder in finished_steps(root)}
    wanted = [collect_results(experiment), *_judged(experiment).values()]
    if experiment.length is not None:
        wanted.append(train_long(experiment))
    found: dict[str, Run] = {}
    while wanted:
        run = wanted.pop()
        found[run.digest] = run
        for name, digest in run.record["inputs"].items():
            if digest not in folders:
                raise FileNotFoundError(
                    f"{run.folder} was made from {name} {digest}, which is gone from "
                    f"{experiment.root.parent}: delete that folder and run the step again"
                )
            if digest not in found:
                wanted.append(Run.load(folders[digest]))
    return sorted(found.values(), key=lambda run: (run.record["step"], run.record["label"]))


def _step(run: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a step's `run.json`: not the data root, a place on somebody's machine."""
    options = {key: value for key, value in run["options"].items() if key != "data_root"}
    return {key: run[key] for key in _KEPT if key in run} | {"options": options}


def _tables(experiment: Experiment, images: Cohort) -> dict[str, pd.DataFrame]:
    """Every table of the record, by its name."""
    folder = collect_results(experiment).folder
    trained = [name for name, used in experiment.pretraining.strategies.items() if used]
    histories = [pretraining_history(experiment, name).assign(objective=name) for name in trained]
    found = {
        "results": read_table(folder / RESULTS_FILE),
        "separability": read_table(folder / SEPARABILITY_FILE),
        "confusion": read_table(folder / CONFUSION_FILE),
        "quality": _quality(experiment),
        "costs": pretraining_costs(experiment),
        "history": pd.concat(histories),
    }
    if experiment.length is not None:
        found["length"] = read_table(train_long(experiment).folder / LENGTH_FILE)
    if "simclr" in trained:
        found["pair_similarity"] = pair_similarities(experiment)
        found["map"] = _map(experiment, images)
    return found


def _quality(experiment: Experiment) -> pd.DataFrame:
    """`quality.csv` of the generators that pairs were made by."""
    tables = [
        read_table(run.folder / "quality.csv").assign(generator=name)
        for name, run in _judged(experiment).items()
    ]
    return pd.concat(tables)


def _judged(experiment: Experiment) -> dict[str, Run]:
    names = generators_to_judge(experiment.pretraining.banks)
    return {name: measure_quality(experiment, name) for name in names}


def _map(experiment: Experiment, images: Cohort) -> pd.DataFrame:
    """t-SNE of the test images under the first seed's SimCLR encoders, on one common layout."""
    places = project(embeddings(experiment, "simclr", experiment.pretraining.seeds[0]))
    rows = images.table.iloc[images.rows("test")][["scanner", "label"]].reset_index(drop=True)
    maps = [
        pd.DataFrame(np.round(xy, 3), columns=["x", "y"]).assign(strategy=name).join(rows)
        for name, xy in places.items()
    ]
    return pd.concat(maps)
