"""The step `evaluation`: what probes find in the features of one encoder or control."""

from pathlib import Path

import pandas as pd

from companion.cohorts.cohort import Cohort
from companion.engine.csv_files import write_table
from companion.engine.runs import Run, Step, as_json
from companion.experiments import config
from companion.experiments.cohort import make_cohort
from companion.experiments.config import EncoderName, Experiment
from companion.experiments.pretraining import load_encoder, pretrain, weights_digest

RESULTS_FILE = "results.csv"
SEPARABILITY_FILE = "separability.csv"
CONFUSION_FILE = "confusion.csv"
FEATURES_FILE = "test_features.npy"

CODE = (
    "companion.evaluation.external",
    "companion.evaluation.probing",
    "companion.evaluation.separability",
    "companion.experiments.initial_weights",
)


def evaluate(experiment: Experiment, name: EncoderName) -> Run:
    """The finished evaluation of one encoder, which is pretrained first unless it is a control.

    Its folder holds `results.csv`, `separability.csv`, `confusion.csv` and
    `test_features.npy`.

    Raises:
        ValueError: the experiment has no such encoder.
    """
    inputs, external = evaluation_inputs(experiment, name)
    encoder_options = experiment.pretraining.options(name.objective).encoder
    options = as_json(probing=experiment.probing, encoder=encoder_options) | name._asdict()
    options |= weights_digest(encoder_options)
    step = Step(
        experiment.root, "evaluation", options, inputs, CODE, (evaluate, load_encoder), str(name)
    )

    def compute(folder: Path) -> None:
        from ccl.devices import fastest_device
        from companion.evaluation import features
        from companion.evaluation.external import evaluate_external
        from companion.evaluation.probing import probe
        from companion.evaluation.separability import separability

        images = Cohort.load(inputs["cohort"].folder)
        encoder = load_encoder(experiment, images, name, inputs.get("encoder"))
        encoder, about = encoder.to(fastest_device()), name.columns()
        extracted = features.extract_features(encoder, images.images)

        def probe_on(other: Cohort) -> pd.DataFrame:
            unseen = features.extract_features(encoder, other.images)
            return probe(other, unseen, experiment.probing, about)

        tables = [
            probe(images, extracted, experiment.probing, about),
            *evaluate_external(images, external, experiment.probing, probe_on),
        ]
        scanner_tables = separability(images, extracted)
        features.save(extracted[images.rows("test")], folder / FEATURES_FILE)
        write_table(scanner_tables.measures.assign(**about), folder / SEPARABILITY_FILE)
        write_table(scanner_tables.confusion.assign(**about), folder / CONFUSION_FILE)
        write_table(concatenated(tables), folder / RESULTS_FILE)

    return step.run(compute)


def evaluation_inputs(
    experiment: Experiment, name: EncoderName
) -> tuple[dict[str, Run], dict[str, Path]]:
    """The finished steps that a test of an encoder needs, and the folders of external cohorts.

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
    return inputs, {other: run.folder for other, run in external.items()}


def concatenated(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The rows of some tables; those without rows would blur the columns' types."""
    filled = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(filled, ignore_index=True)
