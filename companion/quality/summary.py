"""`quality.csv` for reading."""

import pandas as pd

ALL = "all"  # sources, or targets


def overview(quality: pd.DataFrame) -> pd.DataFrame:
    """The means over all directions: a row per measure, a column per kind of image.

    Args:
        quality: rows of `quality.csv`.

    Returns:
        Text 'value [low, high]', empty where a kind of image was not measured.
    """
    pooled = quality[(quality["source"] == ALL) & (quality["target"] == ALL)]
    rounded = pooled[["value", "ci_low", "ci_high"]].round(9)  # a mean of 2e-18 is 0
    text = [f"{value:.3g} [{low:.3g}, {high:.3g}]" for value, low, high in rounded.to_numpy()]
    table = pooled.assign(text=text).pivot(index="measure", columns="images", values="text")
    table = table.reindex(index=pooled["measure"].unique(), columns=pooled["images"].unique())
    return table.fillna("")
