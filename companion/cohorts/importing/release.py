"""What a publisher says of a release, and what every source of files can be asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from companion.cohorts.cohort import SPLITS
from companion.cohorts.importing.image_files import FrameOptions

TABLE_1 = "Roschewitz et al., Medical Image Analysis 2025, Table 1 (arXiv 2409.10365)"


@dataclass(frozen=True)
class PublishedCounts:
    """One row of Table 1 of the paper: images in each split.

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

    def compare(self, rows: pd.DataFrame) -> dict[str, Any]:
        """These counts beside those of the imported rows of the pretraining scanners."""
        here = rows["split"].value_counts()
        return {
            "source": TABLE_1,
            "row": self.row,
            "note": self.note,
            "paper": {"train": self.train, "val": self.val, "test": self.test},
            "here": {split: int(here.get(split, 0)) for split in SPLITS},
        }


def summary(compared: Mapping[str, Any]) -> str:
    """A comparison with Table 1 as a sentence or two."""
    off = {split: compared["here"][split] - compared["paper"][split] for split in SPLITS}
    if not any(off.values()):
        return f"Table 1, {compared['row']}: every split holds as many images as in the paper."
    differences = ", ".join(f"{split} {number:+,}" for split, number in off.items() if number)
    text = f"Table 1, {compared['row']}: the import differs from the paper by {differences}."
    return f"{text} {compared['note']}".strip()


@dataclass(frozen=True)
class Release:
    """A publisher's release.

    Attributes:
        title: as it is called.
        access: where and how to get it.
        licence: under which terms.
        needs: what its folder must hold: patterns, any of which will do, separated by ' or ', to
            what that is.
        sexes: that it states of its images.
        citation, caveats: shown wherever the cohort is used.
        tables: files in the data root that say which images there are; where an option names
            another, the places at which the publisher's may be.
        names_scanners: whether it says which scanner made which image.
        published: its row of Table 1 of the paper.
    """

    title: str
    access: str
    licence: str
    needs: Mapping[str, str]
    sexes: tuple[str, ...]
    tables: tuple[str, ...]
    citation: str = ""
    caveats: tuple[str, ...] = ()
    names_scanners: bool = True
    published: PublishedCounts | None = None

    def missing(self, root: Path) -> list[str]:
        """The needs that a folder does not meet."""
        return [
            need
            for need in self.needs
            if not any(next(root.glob(pattern), None) for pattern in need.split(" or "))
        ]


class ImportOptions(FrameOptions):
    """Options of a source that is read from files.

    Attributes:
        release: what the publisher says of it.
        published: whether a publisher made the list: what is wrong with it is said, not refused.
        table_option: the option, if there is one, that names another table than the publisher's.
        source: which one.
        name: of the cohort.
    """

    release: ClassVar[Release]
    published: ClassVar[bool] = True
    table_option: ClassVar[str] = "csv"
    source: str
    name: str

    @property
    def tables(self) -> tuple[str, ...]:
        """Files in the data root, relative to it, that say which images there are."""
        named = getattr(self, self.table_option, self.release.tables[0])
        return self.release.tables if named == self.release.tables[0] else (named,)

    @property
    def sexes(self) -> tuple[str, ...]:
        """Sexes that the source states of its images; with one or none, do(sex) cannot be asked."""
        return self.release.sexes

    @property
    def evaluation_only(self) -> bool:
        """Whether the source can only test encoders: it names one scanner, or none."""
        return not self.release.names_scanners
