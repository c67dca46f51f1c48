"""Errors of files and disks that a user can mend."""


class DiskFullError(OSError):
    """There is no room for what is to be written; the message names the folder."""


class DamagedFileError(ValueError):
    """A stored file is not what was written; the message names it and the remedy."""
