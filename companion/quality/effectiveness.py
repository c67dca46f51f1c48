"""Effectiveness: does a classifier of real images see the value that was intervened on?

Source: Monteiro et al. 2023, https://arxiv.org/abs/2303.01274; Roschewitz et al. 2025, Fig. 2.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from ccl.generator.classifier import ImageClassifier
from companion.quality.sample import Sample, mean_of
from companion.quality.summary import ALL


def effectiveness(
    sample: Sample, classifier: ImageClassifier, counterfactuals: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Share of images that are seen as what they should be.

    Returns:
        Rows `effectiveness`, of other variables than the scanner `effectiveness_sex` and so on,
        with `images` = 'real' (the ceiling) and each of the names; per direction, per target
        (source 'all') and pooled ('all' to 'all': the mean over targets, each counted alike). Rows
        `effectiveness_uniform` count as the paper does: targets are drawn from all, and of the own
        one the real image is taken.
    """
    variable = sample.variable
    name = "effectiveness" if variable == "scanner" else f"effectiveness_{variable}"

    def hits(images: np.ndarray, target: int | None, at: np.ndarray) -> pd.DataFrame:
        asked = sample.own[at] if target is None else target
        return sample.table(classifier.predict(images)[variable] == asked, target, at)

    real = hits(sample.real, None, np.arange(len(sample.rows)))
    tables = {(name, "real"): real}
    for kind, images in counterfactuals.items():
        parts = [hits(images[at, k], k, at) for k, at in sample.interventions()]
        tables[name, kind] = pd.concat(parts)
        tables[f"{name}_uniform", kind] = pd.concat([*parts, real])
    return pd.DataFrame(
        [
            {"measure": measure, "images": kind, **row}
            for (measure, kind), table in tables.items()
            for row in _shares(table)
        ]
    )


def _shares(table: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Share of hits per direction, per target and over all targets, each counted alike."""
    table = table.assign(value=table["value"].astype(float))
    for (source, target), part in table.groupby(["source", "target"], observed=True):
        yield {"source": source, "target": target, **mean_of(part)}
    for target, part in table.groupby("target", observed=True):
        yield {"source": ALL, "target": target, **mean_of(part)}
    yield {"source": ALL, "target": ALL, **mean_of(table, ["target"])}
