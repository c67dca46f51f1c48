"""The step `evaluation`: what one encoder, pretrained or a control, is good for."""

from pathlib import Path

import pandas as pd

from companion.cohorts.cohort import Cohort
from companion.engine.csv_files import write_table
from companion.engine.runs import Run, Step, as_json
from companion.evaluation.options import FinetuningOptions
from companion.experiments import config
from companion.experiments.cohort import make_cohort
from companion.experiments.config import EncoderName, Experiment
from companion.experiments.pretraining import (
    initial_encoder,
    pretrain,
    pretrained_encoder,
    weights_digest,
)
from companion.strategies import RANDOM

RESULTS_FILE = "results.csv"
SEPARABILITY_FILE = "separability.csv"
CONFUSION_FILE = "confusion.csv"
FEATURES_FILE = "test_features.npy"

CODE = ("companion.evaluation.protocols", "companion.experiments.initial_weights")


def evaluate(experiment: Experiment, name: EncoderName) -> Run:
    """The finished evaluation of one encoder, which is pretrained first unless it is a control.

    Its folder holds `results.csv`, `separability.csv`, `confusion.csv` and
    `test_features.npy`.

    Raises:
        ValueError: the experiment has no such encoder.
    """
    inputs = {"cohort": make_cohort(experiment)}
    if name not in experiment.pretraining.controls:
        inputs["encoder"] = pretrain(experiment, name)
    external = {
        other: make_cohort(config.experiment(experiment.profile_name, other))
        for other in experiment.external
    }
    inputs |= {f"external-{other}": run for other, run in external.items()}
    step = Step(
        experiment.root,
        "evaluation",
        _options(experiment, name),
        inputs,
        CODE,
        (evaluate, initial_encoder, pretrained_encoder),
        str(name),
    )

    def compute(folder: Path) -> None:
        from ccl.devices import fastest_device
        from companion.evaluation import features
        from companion.evaluation.protocols import evaluate_encoder, evaluate_external

        images = Cohort.load(inputs["cohort"].folder)
        if "encoder" in inputs:
            encoder = pretrained_encoder(experiment, images, name, inputs["encoder"])
        else:
            encoder = initial_encoder(experiment, images, name)
        encoder = encoder.to(fastest_device())
        how = (encoder, experiment.probing, _finetuning(experiment, name), name.columns())
        found = evaluate_encoder(images, *how)
        tables = [found.results]
        for other, run in external.items():
            unseen = Cohort.load(run.folder)
            tables.append(evaluate_external(images, unseen, other, *how))
        features.save(found.features[images.rows("test")], folder / FEATURES_FILE)
        write_table(found.separability, folder / SEPARABILITY_FILE)
        write_table(found.confusion, folder / CONFUSION_FILE)
        write_table(concatenated(tables), folder / RESULTS_FILE)

    return step.run(compute)


def _options(experiment: Experiment, name: EncoderName) -> dict[str, object]:
    encoder = experiment.pretraining.options(name.objective).encoder
    options = as_json(probing=experiment.probing, encoder=encoder) | name._asdict()
    options |= weights_digest(experiment, encoder)
    finetuning = _finetuning(experiment, name)
    if finetuning is not None:
        options |= as_json(finetuning=finetuning)
    return options


def _finetuning(experiment: Experiment, name: EncoderName) -> FinetuningOptions | None:
    """Of controls only what all encoders start from is finetuned: the supervised baseline."""
    start = experiment.pretraining.start(name.objective)
    if name.strategy == RANDOM and start != RANDOM:
        return None
    return experiment.finetuning


def concatenated(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The rows of some tables; those without rows would blur the columns' types."""
    filled = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(filled, ignore_index=True)
