"""What the steps cost: time and memory."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ccl.files import HISTORY_FILE
from companion.engine.csv_files import read_table
from companion.engine.runs import Run
from companion.strategies import BASE, split_seed

COLUMNS = ("step", "what", "runs", "seconds", "peak_memory_mib")


def whole_record(run: Run) -> dict[str, Any]:
    """A finished step's `run.json`, with the cost of what was done before an interruption.

    Of a training that went on from a checkpoint, `seconds` are those of all its epochs. Of another
    step that was interrupted they are known from then on only, which `continued` says.
    """
    record = dict(run.record)
    history = run.folder / HISTORY_FILE
    if record.get("continued") and history.is_file():
        trained = float(read_table(history)["seconds"].sum())
        record |= {"seconds": max(record["seconds"], trained), "continued": False}
    return record


def cost_table(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Cost of one run of each step, on the machine that ran it.

    Args:
        records: of `whole_record`, of generator, banks and pretrainings.

    Returns:
        Columns `COLUMNS`; `what` is the bank, the generator ('' the first that was trained) or
        OBJECTIVE-STRATEGY. Seeds are averaged.
        The time is missing (NaN) where a run was interrupted and nothing is known from before.
    """
    rows = [
        {
            "step": record["step"],
            "what": _label_of(record),
            "seconds": math.nan if record.get("continued") else record["seconds"],
            "peak_memory_mib": record["peak_memory_mib"],
        }
        for record in records
    ]
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "runs"])
    grouped = table.groupby(["step", "what"], sort=False)
    # With `skipna` a mean would stand for runs of which it knows nothing.
    means = grouped[["seconds", "peak_memory_mib"]].mean(skipna=False)
    means.insert(0, "runs", grouped.size())
    return means.reset_index()[list(COLUMNS)]


def _label_of(record: Mapping[str, Any]) -> str:
    label = str(record.get("label", ""))
    kind = label.rsplit("-", 1)[0] if record["step"] == "pretraining" else split_seed(label)[0]
    return "" if kind == BASE else kind
