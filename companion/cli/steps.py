"""The command `ccl run STEP`: one step of an experiment."""

import importlib
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccl import distributed
from companion.cli.options import CohortName, DataRoot, Profile, experiment_of, tidy_errors
from companion.engine import pointers, processes

if TYPE_CHECKING:
    from companion.engine.runs import Run
    from companion.experiments.config import Experiment


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
        experiment = experiment_of(profile, cohort, data_root)
        if encoder is not None:
            _run_of_encoder(steps, experiment, encoder)
            return
        arguments: dict[Step, tuple[Any, ...]] = {
            Step.cohort: (on_bad_image.value, on_changed_data.value),
            Step.generator: (variant,),
            Step.bank: (bank,),
            Step.quality: (variant,),
        }
        label = bank or ("" if variant == "base" else variant)
        _run(steps[0], experiment, label, *arguments.get(steps[0], ()))


def _run_of_encoder(steps: tuple[Step, ...], experiment: "Experiment", encoder: str) -> None:
    """Does some steps of an encoder, its pretraining before, and leaves pointers to them."""
    name = experiment.pretraining.named(encoder)
    if Step.pretraining not in steps and name not in experiment.pretraining.controls:
        trained = _finished(Step.pretraining, experiment, name)
        # A pointer that is newer than the evaluation would have the workflow evaluate again.
        pointers.write_pointer(experiment.root, f"pretraining-{name}", trained, replace=False)
    for step in steps:
        if len(steps) == 1 or step is not Step.finetuning or name in experiment.finetuned:
            _run(step, experiment, encoder, name)


def _run(step: Step, experiment: "Experiment", label: str, *arguments: Any) -> None:
    """Does a step, leaves a pointer to it, and prints its folder."""
    done = _finished(step, experiment, *arguments)
    pointers.write_pointer(experiment.root, f"{step}-{label}" if label else step, done)
    if distributed.is_main_process():
        if step is Step.results:
            for file in ("separability.csv", "results.csv"):
                pointers.copy_file(done.folder / file, experiment.root / file)
        typer.echo(str(done.folder))


def _finished(step: Step, experiment: "Experiment", *arguments: Any) -> "Run":
    """A finished step, by the function of the experiment's module that is named as the step."""
    module = importlib.import_module(f"companion.experiments.{step}")
    finished: Run = getattr(module, FUNCTIONS[step])(experiment, *arguments)
    return finished
