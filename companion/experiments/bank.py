"""The step `bank`: the counterfactuals of every image under every value of one variable."""

from pathlib import Path

from companion.cohorts import bank
from companion.cohorts.cohort import Cohort
from companion.engine.runs import Run, Step, as_json
from companion.experiments.cohort import make_cohort
from companion.experiments.config import Experiment
from companion.experiments.generator import load, train_generator
from companion.strategies import BANKS, STRATEGIES

CODE = ("companion.cohorts.bank",)


def make_bank(experiment: Experiment, name: str = "scanner") -> Run:
    """The finished bank.

    Args:
        experiment: of the images.
        name: of one of `companion.strategies.BANKS`.

    Raises:
        ValueError: there is no bank of that name, or the generator does not know its variable.
    """
    if name not in BANKS:
        raise ValueError(f"there is no bank '{name}'; there are {', '.join(BANKS)}")
    inputs = {"cohort": make_cohort(experiment)}
    variant = BANKS[name].variant
    if variant is not None:
        inputs["generator"] = train_generator(experiment, variant)
    options = experiment.bank.model_copy(update={"variable": BANKS[name].variable})
    step = Step(
        experiment.root,
        "bank",
        as_json(bank=options),
        inputs,
        CODE,
        (make_bank,),
        name,
        shared=True,
    )

    def compute(folder: Path) -> None:
        from ccl.devices import fastest_device

        images = Cohort.load(inputs["cohort"].folder)
        if "generator" in inputs:
            generator = load(inputs["generator"].folder, fastest_device())
            bank.make(images, generator, options, folder)
        else:
            bank.make_from_truth(images, options, folder)

    return step.run(compute)


def bank_of(experiment: Experiment, strategy: str) -> Run | None:
    """The finished bank that a strategy draws from; None where it needs none."""
    name = STRATEGIES[strategy].bank
    return None if name is None else make_bank(experiment, name)
