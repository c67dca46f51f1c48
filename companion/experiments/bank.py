"""The step `bank`: the counterfactuals of every image under every value of one variable."""

from pathlib import Path

from companion.cohorts import bank
from companion.cohorts.cohort import Cohort
from companion.engine.runs import Run, Step, as_json
from companion.experiments.cohort import make_cohort
from companion.experiments.config import EncoderName, Experiment
from companion.experiments.generator import load, train_generator
from companion.strategies import BANKS, generator_of_bank, split_seed

CODE = ("companion.cohorts.bank",)


def make_bank(experiment: Experiment, name: str = "scanner") -> Run:
    """The finished bank: one of `companion.strategies.BANKS`.

    Of a generator trained with another seed it is called 'scanner-1' and so on.

    Raises:
        ValueError: there is no bank of that name, or the generator does not know its variable.
    """
    kind, _ = split_seed(name)
    if kind not in BANKS:
        raise ValueError(f"there is no bank '{kind}'; there are {', '.join(BANKS)}")
    inputs = {"cohort": make_cohort(experiment)}
    maker = generator_of_bank(name)
    if maker is not None:
        inputs["generator"] = train_generator(experiment, maker)
    options = experiment.bank.model_copy(update={"variable": BANKS[kind].variable})
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


def bank_of(experiment: Experiment, name: EncoderName) -> Run | None:
    """The finished bank that an encoder's pairs are drawn from; None where they need none."""
    bank_name = experiment.pretraining.bank_of(name)
    return None if bank_name is None else make_bank(experiment, bank_name)
