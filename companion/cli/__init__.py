"""The command line: `ccl run STEP`, `ccl notebook NAME`, `ccl claims`, `ccl plan`, `ccl book` ...

What the workflow calls; each command can as well be typed. Imports of the models stay inside the
commands, so that `ccl --help` and a mistyped option answer at once.
"""

import json
import logging
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from companion.cli import cohort as cohort_commands
from companion.cli.options import CohortName, DataRoot, Profile, experiment_of, tidy_errors
from companion.cli.steps import run

if TYPE_CHECKING:
    from companion.experiments.config import Experiment

app = typer.Typer(
    help="Counterfactual contrastive learning: the steps of the experiments.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(run)
app.add_typer(cohort_commands.app, name="cohort")


@app.callback()
def main(
    verbose: Annotated[bool, typer.Option(help="Show debug messages and tracebacks.")] = False,
) -> None:
    """Sets up logging for every command."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S"
    )
    for package in ("ccl", "companion"):
        logging.getLogger(package).setLevel(logging.DEBUG if verbose else logging.INFO)


@app.command()
def notebook(
    name: Annotated[str, typer.Argument(help="Name of a file in notebooks/.")],
    profile: Profile = "quick",
    cohort: CohortName = "phantom-chest",
    data_root: DataRoot = None,
) -> None:
    """Executes a notebook into runs/<profile>/<cohort>/notebooks/, unless that is done."""
    with tidy_errors():
        from companion.book import notebooks

        shown = notebooks.show(profile, cohort, data_root, name)
    typer.echo(str(shown))


@app.command()
def lectures(profile: Profile = "quick", cohort: CohortName = "phantom-chest") -> None:
    """Executes lectures/ into runs/<profile>/<cohort>/notebooks/, unless that is done."""
    with tidy_errors():
        from companion.book import lectures
        from companion.experiments import plan

        shown = lectures.show(plan.folder(profile, cohort))
    typer.echo(str(shown[0].parent))


@app.command("plan")
def show_plan(
    profile: Profile = "quick",
    cohort: CohortName = "phantom-chest",
    data_root: DataRoot = None,
) -> None:
    """Prints as JSON which encoders an experiment has or cannot have, and its further cohorts."""
    with tidy_errors():
        from companion.experiments import plan

        answer = plan.contents(experiment_of(profile, cohort, data_root))
    typer.echo(json.dumps(answer))


@app.command()
def verify(profile: Profile = "quick", cohort: CohortName = "phantom-chest") -> None:
    """Compares every file of the finished steps with the checksum it was written with."""
    with tidy_errors():
        from companion.engine import runs
        from companion.experiments import plan

        folders = runs.finished_steps(plan.folder(profile, cohort))
        faults_by_folder = {folder: list(runs.faults(folder)) for folder in folders}
    damaged = {folder: faults for folder, faults in faults_by_folder.items() if faults}
    for folder, faults in damaged.items():
        for fault in faults:
            typer.echo(f"Error: {fault}", err=True)
        typer.echo(f"Delete {folder}; the command that made it makes it anew.", err=True)
    if damaged:
        raise typer.Exit(1)
    typer.echo(f"All files of {len(folders)} finished steps are what was written.")


@app.command()
def claims(
    names: Annotated[list[str] | None, typer.Argument(help="Ids such as C2; all if none.")] = None,
    profile: Profile = "quick",
    cohort: CohortName = "phantom-chest",
    data_root: DataRoot = None,
) -> None:
    """Prints what an experiment's results say about the paper's claims."""
    with tidy_errors():
        from companion.claims import evidence, judging, ledger

        chosen = ledger.load().subset(names or [])
        root = experiment_of(profile, cohort, data_root).root
        text = judging.as_text(judging.judge(chosen, evidence.read_evidence(root)))
    typer.echo(text)


@app.command("initial-weights")
def initial_weights() -> None:
    """Teaches the slim encoders on dead leaves, and replaces the weights in the package."""
    with tidy_errors():
        from companion.experiments import leaves

        for architecture in leaves.ARCHITECTURES:
            typer.echo(str(leaves.teach(*leaves.recipe(architecture))))


@app.command("record")
def keep_record(
    profile: Profile = "study",
    cohort: CohortName = "phantom-chest",
    data_root: DataRoot = None,
) -> None:
    """Keeps what an experiment and those beside it found in study/, replacing what was there."""
    with tidy_errors():
        from companion.book import recording

        main = experiment_of(profile, cohort, data_root)
        for experiment in (main, *_beside(main)):
            typer.echo(str(recording.keep(experiment).folder))


@app.command()
def book(
    profile: Profile = "quick",
    cohort: CohortName = "phantom-chest",
    data_root: DataRoot = None,
) -> None:
    """Builds the book from executed notebooks and results into _build/html/."""
    with tidy_errors():
        from companion.book import building

        main = experiment_of(profile, cohort, data_root)
        building.collect(main, _beside(main))
        building.build(main.beside)
        _require_pages(main.beside)
    typer.echo("The book is in _build/html/index.html")


@app.command("check-book")
def check_book(
    profile: Profile = "quick",
    cohort: CohortName = "phantom-chest",
    data_root: DataRoot = None,
) -> None:
    """Fails if a page that the experiment's book must have is missing from the built book."""
    with tidy_errors():
        _require_pages(experiment_of(profile, cohort, data_root).beside)
    typer.echo("Every page of the table of contents is there.")


@app.command("pdf")
def print_book() -> None:
    """Prints the book that was built last into _build/book.pdf."""
    with tidy_errors():
        from companion.book import pdf

        printed = pdf.make()
    typer.echo(f"The book is in {printed}")


@app.command()
def lab(
    profile: Profile = "quick",
    cohort: CohortName = "phantom-chest",
    data_root: DataRoot = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Start JupyterLab.")] = True,
    options: Annotated[str, typer.Option(help="Of JupyterLab, such as '--no-browser'.")] = "",
) -> None:
    """Copies the notebooks to lab/, with an experiment's parameters, and opens the explorer's."""
    with tidy_errors():
        from companion.book import lab as labs

        folder = labs.copies(profile, cohort, data_root or None)
    typer.echo(f"Notebooks to work in: {folder}")
    if show:
        labs.jupyterlab(folder, shlex.split(options))


def _require_pages(cohorts: Sequence[str]) -> None:
    """Names the pages of the table of contents that the built book lacks, and fails if it does."""
    from companion.book import building

    missing = building.missing(cohorts)
    for page in missing:
        typer.echo(f"Error: {page} is missing: the table of contents names it", err=True)
    if missing:
        raise typer.Exit(1)


def _beside(main: "Experiment") -> list["Experiment"]:
    """The experiments that stand in the same book."""
    return [experiment_of(main.profile_name, name) for name in main.beside]
