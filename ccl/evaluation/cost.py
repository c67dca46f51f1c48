"""What the steps cost: time, memory and, where it can be read, energy."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

COLUMNS = ("step", "what", "runs", "seconds", "peak_memory_mib", "energy_joules")


def cost_table(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Cost of one run of each step, on the machine that ran it.

    Args:
        records: parsed `run.json` of generator, banks and pretrainings.

    Returns:
        Columns `COLUMNS`; `what` is the bank or OBJECTIVE-STRATEGY, whose seeds are averaged.
        Energy is missing (NaN) where it could not be read of every run. An interrupted step
        counts from its resumption only.
    """
    rows = [
        {
            "step": record["step"],
            "what": _what(record),
            "seconds": record["seconds"],
            "peak_memory_mib": record["peak_memory_mib"],
            "energy_joules": record.get("energy_joules"),
        }
        for record in records
    ]
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "runs"])
    table["energy_joules"] = pd.to_numeric(table["energy_joules"])
    grouped = table.groupby(["step", "what"], sort=False)
    means = grouped[["seconds", "peak_memory_mib"]].mean()
    means["energy_joules"] = grouped["energy_joules"].agg(lambda joules: joules.mean(skipna=False))
    means.insert(0, "runs", grouped.size())
    return means.reset_index()[list(COLUMNS)]


def _what(record: Mapping[str, Any]) -> str:
    label = str(record.get("label", ""))
    return label.rsplit("-", 1)[0] if record["step"] == "pretrain" else label
