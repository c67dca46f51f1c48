"""Table 1 of the paper: how many images its splits hold, to set an import beside."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from companion.cohorts.cohort import SPLITS

SOURCE = "Roschewitz et al., Medical Image Analysis 2025, Table 1 (arXiv 2409.10365)"


@dataclass(frozen=True)
class PublishedCounts:
    """One row of Table 1: images per split, after splitting.

    Attributes:
        row: as the paper names it.
        train, val, test: images.
        note: why an import by other rules than the released code's differs; '' where it should not.
    """

    row: str
    train: int
    val: int
    test: int
    note: str = ""

    def of(self, split: str) -> int:
        """Images in a split, by its name."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]


def compare(published: PublishedCounts, rows: pd.DataFrame) -> dict[str, Any]:
    """The paper's counts beside those of an import, as `cohort.json` holds them.

    Args:
        published: the paper's.
        rows: of the import's pretraining scanners, with the column `split`.

    Returns:
        {"source", "row", "note", "paper": {split: images}, "here": {split: images}}.
    """
    here = rows["split"].value_counts()
    return {
        "source": SOURCE,
        "row": published.row,
        "note": published.note,
        "paper": {split: published.of(split) for split in SPLITS},
        "here": {split: int(here.get(split, 0)) for split in SPLITS},
    }


def summary(table: dict[str, Any]) -> str:
    """The comparison as a sentence or two."""
    off = {
        split: table["here"][split] - table["paper"][split]
        for split in SPLITS
        if table["here"][split] != table["paper"][split]
    }
    if not off:
        return f"Table 1, {table['row']}: every split holds as many images as in the paper."
    differences = ", ".join(f"{split} {number:+,}" for split, number in off.items())
    note = f" {table['note']}" if table["note"] else ""
    return f"Table 1, {table['row']}: the import differs from the paper by {differences}.{note}"
