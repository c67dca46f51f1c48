"""The step `finetuning`: what one encoder and a linear head learn together from few labels.

Apart from `evaluation`, since it trains networks: a job that only probes holds no GPU.
"""

from pathlib import Path

import pandas as pd

from companion.cohorts.cohort import Cohort
from companion.engine.csv_files import write_table
from companion.engine.runs import Run, Step, as_json
from companion.experiments.config import EncoderName, Experiment
from companion.experiments.evaluation import RESULTS_FILE, concatenated, evaluation_inputs
from companion.experiments.pretraining import load_encoder, weights_digest
from companion.strategies import CONTROLS, SUPERVISED

CODE = (
    "companion.evaluation.external",
    "companion.evaluation.finetuning",
    "companion.experiments.initial_weights",
)


def finetune_encoder(experiment: Experiment, name: EncoderName) -> Run:
    """The finished finetuning of one encoder, which is pretrained first unless it is a control.

    Its folder holds `results.csv`, in which a control is called 'supervised'.

    Raises:
        ValueError: the experiment has no such encoder, or does not finetune it.
    """
    options = experiment.finetuning
    if options is None or name not in experiment.finetuned:
        finetuned = ", ".join(map(str, experiment.finetuned)) or "none"
        raise ValueError(f"encoder '{name}' is not finetuned; those that are: {finetuned}")
    inputs, external = evaluation_inputs(experiment, name)
    encoder_options = experiment.pretraining.options(name.objective).encoder
    recorded = as_json(finetuning=options, encoder=encoder_options) | name._asdict()
    recorded |= weights_digest(encoder_options)
    step = Step(
        experiment.root,
        "finetuning",
        recorded,
        inputs,
        CODE,
        (finetune_encoder, load_encoder, concatenated),
        str(name),
    )

    def compute(folder: Path) -> None:
        from ccl.devices import fastest_device
        from companion.evaluation.external import evaluate_external
        from companion.evaluation.finetuning import finetune

        images = Cohort.load(inputs["cohort"].folder)
        encoder = load_encoder(experiment, images, name, inputs.get("encoder"))
        encoder, about = encoder.to(fastest_device()), name.columns()
        if name.strategy in CONTROLS:
            about["strategy"] = SUPERVISED

        def finetune_on(cohort: Cohort) -> pd.DataFrame:
            return finetune(cohort, encoder, options, about)

        tables = [
            finetune_on(images),
            *evaluate_external(images, external, options, finetune_on),
        ]
        write_table(concatenated(tables), folder / RESULTS_FILE)

    return step.run(compute)
