"""The step `quality`: how good the counterfactuals of a generator are."""

import shutil
from pathlib import Path

from companion.cohorts import bank
from companion.cohorts.cohort import Cohort
from companion.engine.csv_files import write_table
from companion.engine.runs import Run, Step, as_json
from companion.experiments.bank import make_bank
from companion.experiments.cohort import make_cohort
from companion.experiments.config import Experiment
from companion.experiments.generator import load, train_generator
from companion.strategies import BASE, bank_of_generator

CODE = ("companion.quality.abduction", "companion.quality.measuring")


def measure_quality(experiment: Experiment, name: str = BASE) -> Run:
    """The finished measures of a generator of `train_generator`: `quality.csv`, `abduction.csv`."""
    inputs = {
        "cohort": make_cohort(experiment),
        "generator": train_generator(experiment, name),
        "bank": make_bank(experiment, bank_of_generator(name)),
    }
    options = experiment.quality
    label = "" if name == BASE else name
    step = Step(
        experiment.root,
        "quality",
        as_json(quality=options),
        inputs,
        CODE,
        (measure_quality,),
        label,
    )

    def compute(folder: Path) -> None:
        from ccl.devices import fastest_device
        from companion.quality.abduction import abduction
        from companion.quality.measuring import measure, train_judges

        images = Cohort.load(inputs["cohort"].folder)
        judges = train_judges(images, options, folder / "judges")
        generator = load(inputs["generator"].folder, fastest_device())
        counterfactuals = bank.load(inputs["bank"].folder, images)
        abductions = abduction(images, generator, judges.scanner, options)
        write_table(abductions, folder / "abduction.csv")
        measures = measure(images, generator, counterfactuals, judges, options)
        write_table(measures, folder / "quality.csv")
        shutil.rmtree(folder / "judges")  # checkpoints of the classifiers

    return step.run(compute)
