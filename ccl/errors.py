"""Errors that a user can mend, apart from the heavy modules that raise them."""


class TrainingError(RuntimeError):
    """Training cannot go on; the message names the remedy."""


class CompilerError(TrainingError):
    """This machine cannot compile networks; the message names what is missing and the remedy."""
