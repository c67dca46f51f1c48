"""The step `results`: the tables of every encoder and control together."""

from pathlib import Path

from companion.engine.csv_files import read_table, write_table
from companion.engine.runs import Run, Step
from companion.experiments.config import Experiment
from companion.experiments.evaluation import (
    CONFUSION_FILE,
    RESULTS_FILE,
    SEPARABILITY_FILE,
    concatenated,
    evaluate,
)
from companion.experiments.finetuning import finetune_encoder

CODE = ("companion.evaluation.results",)


def collect_results(experiment: Experiment) -> Run:
    """The finished tables `results.csv`, `separability.csv` and `confusion.csv`."""
    inputs = {}
    for name in (*experiment.pretraining.encoders, *experiment.pretraining.controls):
        inputs[str(name)] = evaluate(experiment, name)
        if name in experiment.finetuned:
            inputs[f"finetuned {name}"] = finetune_encoder(experiment, name)
    step = Step(experiment.root, "results", {}, inputs, CODE, (collect_results, concatenated))

    def compute(folder: Path) -> None:
        for file in (SEPARABILITY_FILE, CONFUSION_FILE, RESULTS_FILE):
            files = [run.folder / file for run in inputs.values()]
            tables = [read_table(each) for each in files if each.is_file()]
            write_table(concatenated(tables), folder / file)

    return step.run(compute)
