"""The scores behind `results.csv`: one row per probe, its test images' scores in a list.

Comparing two encoders patient by patient needs their scores, not their AUCs. A score takes less
than 4 bytes in the file, whatever the number of domains: an image that counts in several is stored
once. 200 probes on 20,000 test images are 15 MB, on the simulated cohorts less than 1 MB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from companion.cohorts.cohort import Cohort
from companion.engine import storage
from companion.evaluation.statistics import bootstrap_difference

KEYS = ("objective", "strategy", "protocol", "pretrain_seed", "probe_seed", "label_fraction")


@dataclass
class Scores:
    """Collects scores while encoders are evaluated, and writes them at the end."""

    probes: list[dict[str, Any]] = field(default_factory=list)

    def keep(self, about: Mapping[str, Any], rows: np.ndarray, scores: np.ndarray) -> None:
        """Keeps the scores of one probe.

        Args:
            about: its `KEYS`; others are left out.
            rows: int (n,) cohort rows of the test images, each once.
            scores: (n,) of class 1 or (n, K); rounded to float32.

        Raises:
            ValueError: a key is missing, or rows and scores do not fit.
        """
        if missing := [key for key in KEYS if key not in about]:
            raise ValueError(f"scores of a probe without {missing}")
        if len(rows) != len(scores) or len(np.unique(rows)) != len(rows):
            raise ValueError(
                f"{len(scores)} scores of {len(rows)} test rows, {len(np.unique(rows))} of them "
                "different; expected one score for each"
            )
        self.probes.append(
            {key: about[key] for key in KEYS}
            | {"rows": rows.astype(np.int32), "scores": scores.astype(np.float32).ravel()}
        )

    def save(self, path: Path) -> None:
        """Writes `scores.parquet`; scores (n, K) image by image."""
        pq.write_table(
            pa.Table.from_pandas(pd.DataFrame(self.probes)),
            path,
            compression="zstd",
            use_dictionary=list(KEYS),  # scores hardly repeat
            use_byte_stream_split=["scores.list.element"],
        )


def load(path: Path) -> pd.DataFrame:
    """Reads `scores.parquet`: `KEYS`, and arrays `rows` and `scores` in each row.

    Raises:
        ValueError: a column is missing.
    """
    table = storage.table(path)
    if missing := [name for name in (*KEYS, "rows", "scores") if name not in table.columns]:
        raise ValueError(f"{path}: columns {missing} are missing; it has {list(table.columns)}")
    return table


def paired_gain(
    scores: pd.DataFrame,
    cohort: Cohort,
    first: Mapping[str, object],
    second: Mapping[str, object],
    scanners: Sequence[str],
    *,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """ROC-AUC of one probe minus that of another on the same test patients (paired bootstrap).

    Args:
        scores: of `load`.
        cohort: that was scored; gives labels, patients and scanners.
        first, second: values of `KEYS` that pick one probe each.
        scanners: test images of these.
        n_bootstrap: number of replicates.
        seed: of the replicates.

    Returns:
        Difference and 95 % interval over test patients, for these two probes.

    Raises:
        ValueError: not exactly one probe is picked, or the two have other test images.
    """
    picked = [_probe(scores, key) for key in (first, second)]
    rows = picked[0]["rows"]
    if not np.array_equal(rows, picked[1]["rows"]):
        raise ValueError(f"{dict(first)} and {dict(second)} were scored on different test images")
    table = cohort.table.iloc[rows]
    mine = table["scanner"].isin(scanners).to_numpy()
    if not mine.any():
        raise ValueError(f"no scored test image is of the scanners {list(scanners)}")
    one, other = (_columns(probe)[mine] for probe in picked)
    return bootstrap_difference(
        table["label"].to_numpy()[mine],
        one,
        other,
        table["patient_id"].to_numpy()[mine],
        np.random.default_rng(seed),
        n_bootstrap=n_bootstrap,
    )


def _probe(scores: pd.DataFrame, key: Mapping[str, object]) -> pd.Series:
    found = scores
    for name, value in key.items():
        found = found[found[name] == value]
    if len(found) != 1:
        raise ValueError(f"{dict(key)} picks {len(found)} of {len(scores)} probes, expected one")
    return found.iloc[0]


def _columns(probe: pd.Series) -> np.ndarray:
    """Scores (n,), or (n, K) of several classes."""
    scores, n = probe["scores"], len(probe["rows"])
    return scores if len(scores) == n else scores.reshape(n, -1)
