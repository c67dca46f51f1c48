"""The step `length`: how long pretraining has to be before pairs can be compared.

SimCLR on real pairs and on pairs of true counterfactuals, from random and from initial weights, for
many epochs of one schedule, watched by probes on validation images: pairs that cross scanners learn
more slowly and end higher, so there is an epoch at which the comparison turns round.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ccl.files import HISTORY_FILE
from companion.engine.csv_files import read_table, write_table
from companion.engine.runs import Run, Step
from companion.experiments.config import EncoderName, Experiment
from companion.experiments.pretraining import pretrain
from companion.strategies import INITIAL, RANDOM

LENGTH_FILE = "length.csv"
CODE = ("companion.evaluation.validation_probe",)


def trainings(experiment: Experiment) -> Iterator[tuple[str, Experiment, EncoderName]]:
    """What encoders start from ('random', 'initial'), the changed experiment, and the encoder.

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
        for name in changed.encoders:
            yield start, replace(experiment, pretraining=changed), name


def train_long(experiment: Experiment) -> Run:
    """The finished `length.csv`: the histories of all trainings, with `start` and `strategy`."""
    finished = {
        (start, name): pretrain(changed, name) for start, changed, name in trainings(experiment)
    }
    inputs = {f"{start} {name}": run for (start, name), run in finished.items()}
    step = Step(experiment.root, "length", {}, inputs, CODE, (train_long,))

    def compute(folder: Path) -> None:
        tables = [
            read_table(run.folder / HISTORY_FILE).assign(
                start=start, strategy=name.strategy, seed=name.seed
            )
            for (start, name), run in finished.items()
        ]
        write_table(pd.concat(tables, ignore_index=True), folder / LENGTH_FILE)

    return step.run(compute)
