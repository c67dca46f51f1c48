"""What a publisher says of a release, and what its folder looks like from outside."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from companion.cohorts.importing.published_counts import PublishedCounts


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
        tables: files in the data root that say which images there are, where no option names them.
        names_scanners: whether it says which scanner made which image.
        published: its row of Table 1 of the paper.
    """

    title: str
    access: str
    licence: str
    needs: Mapping[str, str]
    sexes: tuple[str, ...]
    tables: tuple[str, ...] = ()
    names_scanners: bool = True
    published: PublishedCounts | None = None

    def found(self, root: Path) -> list[str]:
        """The needs that a folder meets."""
        return [need for need in self.needs if _any(root, need)]

    def missing(self, root: Path) -> list[str]:
        """The needs that a folder does not meet."""
        return [need for need in self.needs if not _any(root, need)]


def _any(root: Path, need: str) -> bool:
    return any(next(root.glob(pattern), None) is not None for pattern in need.split(" or "))
