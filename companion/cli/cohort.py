"""The commands `ccl cohort ...`: folders of images, before they are imported."""

from pathlib import Path
from typing import Annotated

import typer

from companion.cli.options import Profile, experiment_of, tidy_errors

app = typer.Typer(help="Folders of images, before they are imported.", no_args_is_help=True)


@app.command()
def doctor(
    root: Annotated[Path, typer.Argument(help="Folder that holds the images and their tables.")],
    profile: Profile = "quick",
    cohort: Annotated[
        str | None,
        typer.Option(help="Cohort of the profile to look for; what the folder looks like if none."),
    ] = None,
) -> None:
    """Says what a folder is, what is missing, and what would be imported; reads no image."""
    with tidy_errors():
        from companion.cohorts import doctor as doctors

        options = None if cohort is None else experiment_of(profile, cohort, str(root)).source
        if options is not None and not isinstance(options, doctors.ImportOptions):
            raise ValueError(f"cohort '{cohort}' is simulated: there is no folder to look at")
        diagnosis = doctors.examine(root, options)
    typer.echo(diagnosis.text)
    if not diagnosis.healthy:
        raise typer.Exit(1)


@app.command()
def fake(
    names: Annotated[list[str], typer.Argument(help="Releases, such as padchest.")],
    folder: Annotated[Path, typer.Option(help="Receives a folder for each; finished ones stay.")],
    patients: Annotated[int, typer.Option(help="Regular patients in each.")] = 60,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
) -> None:
    """Writes made-up releases of clinical cohorts, in the publishers' layouts."""
    with tidy_errors():
        from companion.cohorts import fakes

        for name in names:
            if not (folder / name).exists():
                fakes.make(name, folder / name, patients, seed)
            typer.echo(str(folder / name))
