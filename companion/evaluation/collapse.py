"""How pretraining runs ended: healthy, or with a sign of collapse."""

import pandas as pd

from ccl.objectives.dino_options import CollapseOptions


def verdicts(history: pd.DataFrame) -> pd.DataFrame:
    """How each run ended, by the default limits, whichever limits could stop it.

    Args:
        history: one row per epoch and run; `strategy`, `seed`, `epoch` and what
            `sign_of_collapse` reads.

    Returns:
        One row per run, its last: the same columns and `verdict`, 'healthy' or the sign's name.
    """
    from ccl.objectives.collapse import sign_of_collapse

    last = history.sort_values("epoch").groupby(["strategy", "seed"], sort=False).tail(1)
    metrics = last[["loss_over_chance", "embedding_std", "prototype_entropy"]]
    signs = [sign_of_collapse(dict(row), CollapseOptions()) for _, row in metrics.iterrows()]
    return last.assign(verdict=[sign.name if sign else "healthy" for sign in signs])
