"""Costs are those of the records; seeds are averaged, banks are not."""

import math

import pytest

from ccl.evaluation.cost import COLUMNS, cost_table


def record(step: str, label: str, seconds: float, energy: float | None = 10.0) -> dict:
    return {"step": step, "label": label, "seconds": seconds, "peak_memory_mib": 100} | {
        "energy_joules": energy
    }


def test_each_step_has_its_cost() -> None:
    records = [
        record("generator", "", 30),
        record("bank", "scanner", 5),
        record("bank", "sex", 4),
        record("pretrain", "simclr-standard-0", 100),
        record("pretrain", "simclr-standard-1", 120, energy=None),
        record("pretrain", "dino-standard-0", 50),
    ]
    table = cost_table(records)
    assert tuple(table.columns) == COLUMNS
    found = table.set_index(["step", "what"])
    assert found.loc[("generator", ""), "seconds"] == 30
    assert list(found.loc["bank"].index) == ["scanner", "sex"]
    assert found.loc[("pretrain", "simclr-standard"), ["seconds", "runs"]].tolist() == [110, 2]
    assert math.isnan(found.loc[("pretrain", "simclr-standard"), "energy_joules"])
    assert found.loc[("pretrain", "dino-standard"), "energy_joules"] == 10


def test_a_record_without_a_time_is_a_defect() -> None:
    with pytest.raises(KeyError, match="seconds"):
        cost_table([{"step": "generator", "label": ""}])
