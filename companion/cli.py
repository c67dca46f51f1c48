"""The command line: `ccl run STEP`, `ccl notebook NAME`, `ccl claims`, `ccl plan`, `ccl book` ...

What the workflow calls; each command can as well be typed. Imports of the models stay inside the
commands, so that `ccl --help` and a mistyped option answer at once.
"""

import importlib
import json
import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccl import distributed
from ccl.errors import TrainingError
from companion.engine import processes
from companion.engine.files import explain_full_disk

if TYPE_CHECKING:
    from companion.engine.runs import Run
    from companion.experiments.config import EncoderName, Experiment

app = typer.Typer(
    help="Counterfactual contrastive learning: the steps of the experiments.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

cohort_app = typer.Typer(help="Folders of images, before they are imported.", no_args_is_help=True)
app.add_typer(cohort_app, name="cohort")


class Step(StrEnum):
    """The steps of an experiment, in the order of the data."""

    cohort = "cohort"
    generator = "generator"
    bank = "bank"
    quality = "quality"
    pretraining = "pretraining"
    evaluation = "evaluation"
    finetuning = "finetuning"
    results = "results"
    length = "length"


# What makes each, in the module of `companion.experiments` of its name.
FUNCTIONS = {
    Step.cohort: "make_cohort",
    Step.generator: "train_generator",
    Step.bank: "make_bank",
    Step.quality: "measure_quality",
    Step.pretraining: "pretrain",
    Step.evaluation: "evaluate",
    Step.finetuning: "finetune_encoder",
    Step.results: "collect_results",
    Step.length: "train_long",
}
OF_ENCODERS = (Step.pretraining, Step.evaluation, Step.finetuning)
# What steps are called as well, and which are done by one process.
ALIASES = {"pretrain": (Step.pretraining,), "evaluate": (Step.evaluation, Step.finetuning)}


def parse_steps(name: str) -> tuple[Step, ...]:
    """The steps of a name or alias."""
    try:
        return ALIASES.get(name) or (Step(name),)
    except ValueError:
        raise typer.BadParameter(f"'{name}' is not one of {', '.join(Step)}") from None


class OnBadImage(StrEnum):
    """What an import does with an image that cannot be read."""

    error = "error"
    skip = "skip"


class OnChangedData(StrEnum):
    """What is done where files of the data root changed under a finished cohort."""

    error = "error"
    reimport = "reimport"


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
def run(
    step: Annotated[str, typer.Argument(metavar=f"[{'|'.join((*Step, *ALIASES))}]")],
    profile: Profile = "quick",
    cohort: CohortName = "phantom-chest",
    data_root: DataRoot = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Of pretraining, evaluation and finetuning: OBJECTIVE-STRATEGY-SEED, as "
            "`ccl plan` lists them."
        ),
    ] = None,
    bank: Annotated[
        str | None, typer.Option(help="Of bank: which, one of `companion.strategies.BANKS`.")
    ] = None,
    variant: Annotated[
        str,
        typer.Option(help="Of generator and quality: which, of `companion.strategies.GENERATORS`."),
    ] = "base",
    on_bad_image: Annotated[OnBadImage, typer.Option(help="Of cohort.")] = OnBadImage.error,
    on_changed_data: Annotated[
        OnChangedData,
        typer.Option(
            help="Of cohort: where files of the data root changed since they were imported, stop "
            "with an error, or import them anew as another run."
        ),
    ] = OnChangedData.error,
) -> None:
    """Does one step unless it is done, and leaves a pointer to its folder in runs/.

    `evaluation` and `finetuning` pretrain the encoder first, where that is not done; `evaluate` is
    both, as far as the encoder is finetuned. Several processes, started by `torchrun` or SLURM's
    `srun`, work as one.
    """
    steps = parse_steps(step)
    if (encoder is not None) != (steps[0] in OF_ENCODERS):
        raise typer.BadParameter(
            f"{', '.join(OF_ENCODERS)} need --encoder, other steps do not have it"
        )
    if (bank is not None) != (Step.bank in steps):
        raise typer.BadParameter("'bank' needs --bank, other steps do not have it")
    if variant != "base" and steps[0] not in (Step.generator, Step.quality):
        raise typer.BadParameter("only 'generator' and 'quality' have a --variant")
    with tidy_errors(), processes.process_group():
        experiment = _experiment(profile, cohort, data_root)
        arguments: dict[Step, tuple[Any, ...]] = {
            Step.cohort: (on_bad_image.value, on_changed_data.value),
            Step.generator: (variant,),
            Step.bank: (bank,),
            Step.quality: (variant,),
        }
        label = bank or ("" if variant == "base" else variant)
        if encoder is None:
            _run(steps[0], experiment, label, *arguments.get(steps[0], ()))
        else:
            _run_of_encoder(steps, experiment, encoder)


def _run_of_encoder(steps: tuple[Step, ...], experiment: "Experiment", encoder: str) -> None:
    """Does some steps of an encoder, its pretraining before, and leaves pointers to them."""
    name = experiment.pretraining.named(encoder)
    if Step.pretraining not in steps and name not in experiment.pretraining.controls:
        _leave_pretraining(experiment, name)
    for step in steps:
        if len(steps) == 1 or step is not Step.finetuning or name in experiment.finetuned:
            _run(step, experiment, encoder, name)


def _run(step: Step, experiment: "Experiment", label: str, *arguments: Any) -> None:
    """Does a step, leaves a pointer to it, and prints its folder."""
    from companion.engine import pointers

    done = _finished(step, experiment, *arguments)
    if distributed.is_main_process():
        pointers.write_pointer(experiment.root, f"{step}-{label}" if label else step, done)
        if step is Step.results:
            for file in ("separability.csv", "results.csv"):
                pointers.copy_file(done.folder / file, experiment.root / file)
        typer.echo(str(done.folder))


def _finished(step: Step, experiment: "Experiment", *arguments: Any) -> "Run":
    """A finished step, by the function of the experiment's module that is named as the step."""
    module = importlib.import_module(f"companion.experiments.{step}")
    finished: Run = getattr(module, FUNCTIONS[step])(experiment, *arguments)
    return finished


def _leave_pretraining(experiment: "Experiment", name: "EncoderName") -> None:
    """Pretrains what is to be tested and leaves a pointer to it, unless there is one."""
    from companion.engine import pointers

    trained = _finished(Step.pretraining, experiment, name)
    pointer = f"pretraining-{name}"
    # One that is newer than the evaluation would have the workflow evaluate again.
    if distributed.is_main_process() and not pointers.is_pointer_to(
        experiment.root, pointer, trained
    ):
        pointers.write_pointer(experiment.root, pointer, trained)


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
        from companion.engine import pointers
        from companion.experiments import plan

        executed = notebooks.show(profile, cohort, data_root, name).folder / f"{name}.ipynb"
        fixed = plan.folder(profile, cohort) / "notebooks" / executed.name
        shown = pointers.copy_file(executed, fixed)
    typer.echo(str(shown))


@app.command()
def lectures(profile: Profile = "quick", cohort: CohortName = "phantom-chest") -> None:
    """Executes lectures/ into runs/<profile>/<cohort>/notebooks/, unless that is done."""
    with tidy_errors():
        from companion.book import lectures
        from companion.engine import pointers
        from companion.experiments import plan

        root = plan.folder(profile, cohort)
        executed = lectures.show(root).folder
        for notebook in lectures.sources():
            pointers.copy_file(executed / notebook.name, root / "notebooks" / notebook.name)
    typer.echo(str(executed))


@app.command("plan")
def show_plan(
    profile: Profile = "quick",
    cohort: CohortName = "phantom-chest",
    data_root: DataRoot = None,
) -> None:
    """Prints as JSON which encoders an experiment has or cannot have, and its further cohorts."""
    with tidy_errors():
        from companion.experiments import plan

        answer = plan.of(_experiment(profile, cohort, data_root))
    typer.echo(json.dumps(answer))


@cohort_app.command()
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

        options = None if cohort is None else _experiment(profile, cohort, str(root)).source
        if options is not None and not isinstance(options, doctors.ImportOptions):
            raise ValueError(f"cohort '{cohort}' is simulated: there is no folder to look at")
        found = doctors.examine(root, options)
    typer.echo(found.text)
    if not found.healthy:
        raise typer.Exit(1)


@cohort_app.command()
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


@app.command()
def verify(profile: Profile = "quick", cohort: CohortName = "phantom-chest") -> None:
    """Compares every file of the finished steps with the checksum it was written with."""
    with tidy_errors():
        from companion.engine import verification
        from companion.experiments import plan

        folders = verification.finished_steps(plan.folder(profile, cohort))
        found = {folder: list(verification.faults(folder)) for folder in folders}
    damaged = {folder: faults for folder, faults in found.items() if faults}
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

        asked = ledger.load().only(names or [])
        root = _experiment(profile, cohort, data_root).root
        text = judging.as_text(judging.judge(asked, evidence.gather(root)))
    typer.echo(text)


@app.command("initial-weights")
def initial_weights() -> None:
    """Teaches the slim encoders on dead leaves, and replaces the weights in the package."""
    with tidy_errors():
        from companion.experiments import leaves

        for architecture in leaves.ARCHITECTURES:
            typer.echo(str(leaves.teach(leaves.recipe(architecture))))


@app.command("record")
def keep_record(
    profile: Profile = "study",
    cohort: CohortName = "phantom-chest",
    data_root: DataRoot = None,
) -> None:
    """Keeps what an experiment and those beside it found in study/, replacing what was there."""
    with tidy_errors():
        from companion.book import recording

        main = _experiment(profile, cohort, data_root)
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
        from companion.book import building as pages

        main = _experiment(profile, cohort, data_root)
        pages.collect(main, _beside(main))
        pages.build(main.beside)
        missing = pages.missing(main.beside)
    if missing:
        raise typer.Exit(_tell_missing(missing))
    typer.echo("The book is in _build/html/index.html")


@app.command("check-book")
def check_book(
    profile: Profile = "quick",
    cohort: CohortName = "phantom-chest",
    data_root: DataRoot = None,
) -> None:
    """Fails if a page that the experiment's book must have is missing from the built book."""
    with tidy_errors():
        from companion.book import building as pages

        missing = pages.missing(_experiment(profile, cohort, data_root).beside)
    if missing:
        raise typer.Exit(_tell_missing(missing))
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


def _tell_missing(pages: list[Path]) -> int:
    for page in pages:
        typer.echo(f"Error: {page} is missing: the table of contents names it", err=True)
    return 1


def _experiment(profile: str, cohort: str, data_root: str | None) -> "Experiment":
    from companion.experiments import config

    return config.experiment(profile, cohort, data_root)


def _beside(main: "Experiment") -> list["Experiment"]:
    """The experiments that stand in the same book."""
    return [_experiment(main.profile_name, name, None) for name in main.beside]
