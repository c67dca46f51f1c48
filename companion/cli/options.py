"""Options that commands share, the experiment that these name, and how errors are printed."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ccl.errors import TrainingError
from companion.engine.files import explain_full_disk

if TYPE_CHECKING:
    from companion.experiments.config import Experiment

Profile = Annotated[str, typer.Option(help="Name of a file in configs/.")]
CohortName = Annotated[str, typer.Option("--cohort", help="Name of a cohort in the profile.")]
DataRoot = Annotated[
    str | None, typer.Option(help="Folder of the images, for cohorts that are read from files.")
]


@contextmanager
def tidy_errors() -> Iterator[None]:
    """Turns what a user can mend into one message and exit code 1; a defect keeps its traceback."""
    try:
        with explain_full_disk(Path.cwd()):
            yield
    except (ValueError, OSError, LookupError, FloatingPointError, TrainingError) as error:
        typer.echo(f"Error: {error}", err=True)
        logging.getLogger("companion").debug("traceback", exc_info=error)
        raise typer.Exit(1) from error


def experiment_of(profile: str, cohort: str, data_root: str | None = None) -> "Experiment":
    """The experiment of a profile on one of its cohorts."""
    from companion.experiments import config

    return config.experiment(profile, cohort, data_root)
