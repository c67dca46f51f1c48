"""The code of a stored notebook, run in this process on a cohort and results made up by a test."""

import ast
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest

from companion.book import pair_maker
from companion.cohorts.cohort import SPLITS, Cohort
from companion.engine.runs import Run
from companion.experiments import cohort as cohorts
from companion.experiments import config, generator, pretraining, results
from companion.experiments.config import Experiment
from tests.changed import changed

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
DOMAINS = ("A", "B")
METRICS = ("loss", "alignment", "uniformity", "loss_over_chance")
METRICS += ("prototype_entropy", "teacher_entropy", "embedding_std")


def small_cohort(scanners: tuple[str, ...] = ("A", "B"), classes: tuple[str, ...] = ("no", "yes")):
    """Real images, as far as the notebooks know: 12 of each scanner in each split."""
    rows = [
        (split, scanner, i % len(classes))
        for split in SPLITS
        for scanner in scanners
        for i in range(12)
    ]
    table = pd.DataFrame(rows, columns=["split", "scanner", "label"])
    table["patient_id"] = [f"p{i}" for i in range(len(table))]
    table["sex"], table["age"] = np.resize(["F", "F", "M", "M"], len(table)), 50.0
    info = {"name": "made-up", "source": "folder", "classes": classes}
    info |= {"scanners": scanners, "held_out_scanners": ()}
    images = np.random.default_rng(0).integers(0, 256, (len(table), 8, 8), dtype=np.uint8)
    return Cohort(Path("made-up"), info, images, table)


def only(objective: str) -> Experiment:
    """The profile `tiny`, with one objective and the plain strategy alone."""
    base = config.experiment("tiny", "phantom-chest")
    return changed(base, pretraining__strategies={objective: ("standard",)})


def values(
    name: str,
    cohort: Cohort,
    experiment: Experiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[Any]:
    """What each code cell of a notebook shows, where every step of the experiment is finished."""
    objectives = [key for key, names in experiment.pretraining.strategies.items() if names]
    _history().to_csv(tmp_path / "history.csv", index=False)
    _results(objectives).to_csv(tmp_path / "results.csv", index=False)
    _separability(objectives).to_csv(tmp_path / "separability.csv", index=False)
    monkeypatch.setattr(config, "experiment", lambda *_: experiment)
    monkeypatch.setattr(Cohort, "load", lambda _: cohort)
    monkeypatch.setattr(pretraining, "pair_similarities", lambda _: _similarities())
    monkeypatch.setattr(pair_maker, "pair_maker_page", lambda *_: "")
    record = {"step": "pretraining", "label": "simclr-standard-0"}
    record |= {"seconds": 1.0, "peak_memory_mib": 1}
    finished = {
        "make_cohort": (cohorts, pretraining),
        "train_generator": (generator, pretraining),
        "make_bank": (pretraining,),
        "pretrain": (pretraining,),
        "collect_results": (results,),
    }
    for step, modules in finished.items():
        for module in modules:
            monkeypatch.setattr(module, step, lambda *_: Run(tmp_path, record))
    cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    names: dict[str, Any] = {}
    return [_value(cell.source, names) for cell in cells if cell.cell_type == "code"]


def _value(source: str, names: dict[str, Any]) -> Any:
    """Runs a cell; the value of its last line, if that is an expression."""
    *lines, last = ast.parse(source).body
    if not isinstance(last, ast.Expr):
        exec(source, names)
        return None
    exec(compile(ast.Module(lines, []), "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def _similarities() -> pd.DataFrame:
    interval = {"value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 12}
    rows = [{"strategy": "standard", "training": when, **interval} for when in ("before", "after")]
    return pd.DataFrame(rows)


def _history() -> pd.DataFrame:
    values = {"epoch": [0, 1], "seed": [0, 0]} | {metric: [0.9, 0.8] for metric in METRICS}
    return pd.DataFrame(values).assign(strategy="standard")


def _results(objectives: list[str]) -> pd.DataFrame:
    rows = [
        (objective, strategy, "linear", domain, fraction, 100 * fraction)
        for objective in objectives
        for strategy in ("standard", "plus", "random")
        for domain in DOMAINS
        for fraction in (0.1, 1.0)
    ]
    columns = ["objective", "strategy", "protocol", "domain", "label_fraction", "n_labels"]
    same = {"subgroup": "all", "metric": "roc_auc", "value": 0.8, "ci_low": 0.7, "ci_high": 0.9}
    return pd.DataFrame(rows, columns=columns).assign(pretrain_seed=0, probe_seed=0, **same)


def _separability(objectives: list[str]) -> pd.DataFrame:
    rows = [
        (objective, measure)
        for objective in objectives
        for measure in ("scanner", "scanner_knn", "silhouette", "mixing")
    ]
    same = {"strategy": "standard", "value": 0.6, "ci_low": 0.5, "ci_high": 0.7}
    table = pd.DataFrame(rows, columns=["objective", "measure"])
    return table.assign(pretrain_seed=0, **same)
