"""The two ways in which an import fails."""


class CohortError(ValueError):
    """Input from which no cohort can be made; the message names the file and the row."""


class ImageError(ValueError):
    """An image file that cannot become a frame; the message says why, the caller says where."""
