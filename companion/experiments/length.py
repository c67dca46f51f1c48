"""The step `length`: how long pretraining has to be before pairs can be compared.

SimCLR on real pairs and on pairs of true counterfactuals, from random and from initial weights, for
many epochs of one schedule, watched by probes on validation images: pairs that cross scanners learn
more slowly and end higher, so there is an epoch at which the comparison turns round.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from companion.engine.csv_files import write_table
from companion.engine.runs import Run, Step
from companion.experiments.config import Experiment
from companion.experiments.pretraining import pretrain, pretraining_history
from companion.strategies import INITIAL, RANDOM

LENGTH_FILE = "length.csv"
CODE = ("companion.evaluation.validation_probe",)


def trainings(experiment: Experiment) -> Iterator[tuple[str, Experiment]]:
    """What encoders start from ('random', 'initial'), and the experiment that trains these.

    Raises:
        ValueError: the profile does not ask for it.
    """
    options, pretraining = experiment.length, experiment.pretraining
    if options is None:
        raise ValueError(f"profile '{experiment.profile_name}' has no section 'length'")
    encoder = pretraining.simclr.encoder
    starts = {RANDOM: None} | ({INITIAL: encoder.pretrained} if encoder.pretrained else {})
    for start, weights in starts.items():
        changes = {
            "epochs": options.epochs,
            "encoder": encoder.model_copy(update={"pretrained": weights}),
        }
        changed = pretraining.model_copy(
            update={
                "strategies": {"simclr": options.strategies},
                "seeds": options.seeds,
                "simclr": pretraining.simclr.model_copy(update=changes),
                "convergence": pretraining.convergence.model_copy(update={"every": options.every}),
            }
        )
        yield start, experiment.model_copy(update={"pretraining": changed})


def train_long(experiment: Experiment) -> Run:
    """The finished `length.csv`: the histories of all trainings, with `start` and `strategy`."""
    long = dict(trainings(experiment))
    inputs = {
        f"{start} {name}": pretrain(changed, name)
        for start, changed in long.items()
        for name in changed.pretraining.encoders
    }
    step = Step(experiment.root, "length", {}, inputs, CODE, (train_long, pretraining_history))

    def compute(folder: Path) -> None:
        tables = [
            pretraining_history(changed, "simclr").assign(start=start)
            for start, changed in long.items()
        ]
        write_table(pd.concat(tables, ignore_index=True), folder / LENGTH_FILE)

    return step.run(compute)
