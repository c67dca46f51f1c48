"""How pretraining runs ended: healthy, or with a sign of collapse."""

import pandas as pd

from ccl.objectives.dino_options import CollapseOptions


def verdicts(history: pd.DataFrame) -> pd.DataFrame:
    """How each run ended, by the default limits, whichever limits could stop it.

    Returns:
        The last row of each run, and its `verdict`: 'healthy' or the name of a `sign_of_collapse`.
    """
    from ccl.objectives.collapse import sign_of_collapse

    last = history.sort_values("epoch").groupby(["strategy", "seed"], sort=False).tail(1)
    metrics = last[["loss_over_chance", "embedding_std", "prototype_entropy"]]
    signs = [sign_of_collapse(dict(row), CollapseOptions()) for _, row in metrics.iterrows()]
    return last.assign(verdict=[sign.name if sign else "healthy" for sign in signs])
