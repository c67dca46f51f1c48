"""What every source that is read from files can be asked."""

from companion.cohorts.importing.image_files import FrameOptions


class ImportOptions(FrameOptions):
    """Options of a source that is read from files.

    Attributes:
        source: which one.
        name: of the cohort.
    """

    source: str
    name: str

    @property
    def tables(self) -> tuple[str, ...]:
        """Files in the data root, relative to it, that say which images there are."""
        return ()

    @property
    def published(self) -> bool:
        """Whether a publisher made the list: what is wrong with it is said, not refused."""
        return True

    @property
    def sexes(self) -> tuple[str, ...]:
        """Sexes that the source states of its images; with one or none, do(sex) cannot be asked."""
        raise NotImplementedError(f"{type(self).__name__} does not say which sexes it states")

    @property
    def evaluation_only(self) -> bool:
        """Whether the source can only test encoders: it names one scanner, or none."""
        return False
