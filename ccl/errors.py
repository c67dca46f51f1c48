"""Errors that a user can mend, apart from the heavy modules that raise them."""


class TrainingError(RuntimeError):
    """Training cannot go on; the message names the remedy."""
