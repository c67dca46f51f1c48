"""What every source that is read from files can be asked."""

from typing import ClassVar

from companion.cohorts.importing.image_files import FrameOptions
from companion.cohorts.importing.release import Release


class ImportOptions(FrameOptions):
    """Options of a source that is read from files.

    Attributes:
        release: what the publisher says of it.
        source: which one.
        name: of the cohort.
    """

    release: ClassVar[Release]
    source: str
    name: str

    @property
    def tables(self) -> tuple[str, ...]:
        """Files in the data root, relative to it, that say which images there are."""
        return self.release.tables

    @property
    def published(self) -> bool:
        """Whether a publisher made the list: what is wrong with it is said, not refused."""
        return True

    @property
    def sexes(self) -> tuple[str, ...]:
        """Sexes that the source states of its images; with one or none, do(sex) cannot be asked."""
        return self.release.sexes

    @property
    def evaluation_only(self) -> bool:
        """Whether the source can only test encoders: it names one scanner, or none."""
        return not self.release.names_scanners
