"""Costs are those of the records; seeds are averaged, banks are not."""

import math
from pathlib import Path

from companion.engine.runs import Run
from companion.evaluation.cost import COLUMNS, cost_table, whole_record


def record(step: str, label: str, seconds: float) -> dict:
    return {"step": step, "label": label, "seconds": seconds, "peak_memory_mib": 100}


def test_each_step_has_its_cost() -> None:
    records = [
        record("generator", "", 20),
        record("generator", "base-1", 40),
        record("bank", "scanner", 5),
        record("bank", "sex", 4),
        record("pretraining", "simclr-standard-0", 100),
        record("pretraining", "simclr-standard-1", 120),
        record("pretraining", "dino-standard-0", 50),
    ]
    table = cost_table(records)
    assert tuple(table.columns) == COLUMNS
    found = table.set_index(["step", "what"])
    assert found.loc[("generator", ""), ["seconds", "runs"]].tolist() == [30, 2]
    assert list(found.loc["bank"].index) == ["scanner", "sex"]
    assert found.loc[("pretraining", "simclr-standard"), ["seconds", "runs"]].tolist() == [110, 2]


def test_an_interrupted_training_counts_with_all_its_epochs(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("epoch,seconds\n0,40\n1,30.5\n2,30\n")
    late = record("generator", "", 31)
    assert whole_record(Run(tmp_path, late | {"continued": False}))["seconds"] == 31
    found = whole_record(Run(tmp_path, late | {"continued": True}))
    assert found["seconds"] == 100.5
    assert cost_table([found])["seconds"].tolist() == [100.5]


def test_an_interrupted_step_without_a_history_has_no_known_cost(tmp_path: Path) -> None:
    found = whole_record(Run(tmp_path, record("bank", "scanner", 5) | {"continued": True}))
    table = cost_table([found, record("bank", "sex", 4)])
    assert math.isnan(table["seconds"][0])
    assert table["seconds"][1] == 4
