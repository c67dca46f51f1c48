"""Whether a pretraining has converged, by what linear probes find on validation images meanwhile.

A comparison of encoders that are still learning measures how fast they learn. So every few epochs a
probe of fixed strength is fitted to few and to all training labels, and tested on the validation
images of each pretraining scanner (`companion.evaluation.validation_probe`). A learning rate that
falls to zero makes every curve level in the end: that one is level is needed, and not enough.
"""

import pandas as pd

AUC = "validation_auc"  # the mean over scanners and shares of the labels
LAST_QUARTER = 0.75
KEYS = ("objective", "strategy", "seed")  # of a pretraining


def final_range(history: pd.DataFrame) -> float:
    """Largest minus smallest validation AUC over the last quarter of a pretraining.

    Args:
        history: of one encoder: `epoch` from 0, `validation_auc` or NaN.

    Returns:
        NaN where fewer than two probes lie there.
    """
    if AUC not in history:
        return float("nan")
    probed = history[["epoch", AUC]].dropna()
    last = probed.loc[probed["epoch"] + 1 >= LAST_QUARTER * (history["epoch"].max() + 1), AUC]
    return float(last.max() - last.min()) if len(last) > 1 else float("nan")


def convergence(history: pd.DataFrame | None, margin: float) -> pd.DataFrame:
    """Which pretrainings have converged.

    Args:
        history: of all of them, or None: one row per epoch, with `objective`, `strategy`, `seed`.
        margin: of `companion.evaluation.options.ConvergenceOptions`; NaN if it is not known.

    Returns:
        A row per pretraining: `objective`, `strategy`, `seed`, `change` (`final_range`), `margin`
        and `converged`; the last is missing where no probes tell.
    """
    rows = []
    if history is None or not {*KEYS} <= {*history.columns}:
        history = pd.DataFrame(columns=list(KEYS))
    for key, run in history.groupby(list(KEYS), sort=False):
        change = final_range(run)
        probed = pd.notna(change) and pd.notna(margin)
        verdict = change <= margin if probed else None
        rows.append((*key, change, margin, verdict))
    return pd.DataFrame(rows, columns=[*KEYS, "change", "margin", "converged"])
