"""Errors that a user can mend, apart from the heavy modules that raise them."""


class TrainingError(RuntimeError):
    """Training cannot go on; the message names the remedy."""


class DiskFullError(OSError):
    """There is no room for what is to be written; the message names the folder."""


class CompilerError(TrainingError):
    """This machine cannot compile networks; the message names what is missing and the remedy."""


class DamagedFileError(ValueError):
    """A stored file is not what was written; the message names it and the remedy."""
