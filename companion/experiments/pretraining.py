"""The step `pretraining`: one encoder, with one objective on the pairs of one strategy."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ccl import distributed
from ccl.encoders.options import PUBLISHED, EncoderOptions, weights_file
from ccl.files import HISTORY_FILE
from ccl.pairs import Pairs
from companion.cohorts import bank
from companion.cohorts.cohort import Cohort, evenly
from companion.engine import storage
from companion.engine.csv_files import read_table
from companion.engine.files import file_digest
from companion.engine.runs import Run, Step, as_json
from companion.evaluation.cost import cost_table, whole_record
from companion.experiments.bank import bank_of, make_bank
from companion.experiments.cohort import make_cohort
from companion.experiments.config import EncoderName, Experiment
from companion.experiments.generator import train_generator
from companion.strategies import RANDOM, STRATEGIES, Objective, generator_of_bank

if TYPE_CHECKING:
    from ccl.encoders.encoder import Encoder
    from ccl.trainer import History

ENCODER_FILE = "encoder.safetensors"

CODE = (  # and the objective's
    "ccl.objectives.batches",
    "ccl.trainer",
    "companion.evaluation.validation_probe",
    "companion.experiments.initial_weights",
)


def pretrain(experiment: Experiment, name: EncoderName) -> Run:
    """The finished encoder.

    Raises:
        ValueError: the experiment has no such encoder.
    """
    if name not in experiment.pretraining.encoders:
        raise ValueError(
            f"encoder '{name}' is not one of the experiment's: "
            + ", ".join(map(str, experiment.pretraining.encoders))
        )
    options = experiment.pretraining.options(name.objective)
    inputs = {"cohort": make_cohort(experiment)}
    bank_run = bank_of(experiment, name)
    if bank_run is not None:
        inputs["bank"] = bank_run
    watched = {name.objective: options, "convergence": experiment.pretraining.convergence}
    recorded = as_json(**watched) | weights_digest(options.encoder) | name._asdict()
    step = Step(
        experiment.root,
        "pretraining",
        recorded,
        inputs,
        (f"ccl.objectives.{name.objective}", *CODE),
        (pretrain,),
        str(name),
        shared=True,
    )

    def compute(folder: Path) -> None:
        images = Cohort.load(inputs["cohort"].folder)
        pairs = _pairs(images, name, bank_run)
        encoder, history = _train(experiment, name, images, pairs, folder)
        if distributed.is_main_process():
            storage.write_safetensors(folder / ENCODER_FILE, encoder.cpu().state_dict())
            pd.DataFrame(history).to_csv(folder / HISTORY_FILE, index=False)

    return step.run(compute)


def _train(
    experiment: Experiment, name: EncoderName, images: Cohort, pairs: Pairs, folder: Path
) -> "tuple[Encoder, History]":
    """The pretrained encoder, and the history of its training; checkpoints go to a folder."""
    from ccl.objectives.batches import PairBatches
    from ccl.trainer import fit
    from companion.evaluation.validation_probe import ValidationProbe

    options = experiment.pretraining.options(name.objective)
    rows = images.rows("train", "pretraining")
    size = min(options.batch_size, len(rows))
    batches = PairBatches(pairs, rows, batch_size=size, seed=name.seed, max_steps=options.max_steps)
    encoder = initial_encoder(experiment, images, name)
    module = _objective(name.objective)(
        encoder, options, seed=name.seed, steps_per_epoch=len(batches)
    )
    probe = ValidationProbe(images, experiment.pretraining.convergence, options.epochs)

    def on_epoch_end(epoch: int) -> dict[str, float]:
        return probe(module.pretrained) if probe.is_due(epoch) else {}

    history = fit(
        module,
        batches,
        epochs=options.epochs,
        folder=folder,
        seed=name.seed,
        on_epoch_end=on_epoch_end,
    )
    return module.pretrained, history


def _objective(name: str) -> Any:
    """The Lightning module of an objective, built as `module(encoder, options, *, seed, ...)`.

    It is fed `PairBatches` of any strategy; `.pretrained` is the encoder to evaluate in the end.
    """
    from ccl.objectives.dino import Dino
    from ccl.objectives.simclr import SimCLR

    return {"simclr": SimCLR, "dino": Dino}[name]


def pairs_by_strategy(experiment: Experiment, objective: Objective) -> dict[str, Pairs]:
    """The pairs of every strategy that an objective is trained with, at the first seed."""
    images = Cohort.load(make_cohort(experiment).folder)
    seed = experiment.pretraining.seeds[0]
    names = (
        EncoderName(objective, strategy, seed)
        for strategy in experiment.pretraining.strategies[objective]
    )
    return {name.strategy: _pairs(images, name, bank_of(experiment, name)) for name in names}


def _pairs(images: Cohort, name: EncoderName, bank_run: Run | None) -> Pairs:
    counterfactuals = bank.load(bank_run.folder, images) if bank_run is not None else None
    return Pairs(STRATEGIES[name.strategy].pairs, images.images, counterfactuals)


def initial_encoder(experiment: Experiment, images: Cohort, name: EncoderName) -> "Encoder":
    """The encoder that pretraining starts from, or the random control."""
    return load_encoder(experiment, images, name, None)


def load_encoder(
    experiment: Experiment, images: Cohort, name: EncoderName, run: Run | None
) -> "Encoder":
    """The encoder of a finished pretraining; without one, what it starts from, or a control."""
    import torch

    from companion.experiments.initial_weights import architecture, starting_encoder

    torch.manual_seed(name.seed)
    options = experiment.pretraining.options(name.objective).encoder
    frame = images.images.shape[1:]
    if run is None and name.strategy != RANDOM:
        return starting_encoder(options, frame, experiment.root / "initial")
    encoder = architecture(options, frame)
    if run is not None:
        encoder.load_state_dict(storage.read_safetensors(run.folder / ENCODER_FILE))
    return encoder


def encoder_of(experiment: Experiment, images: Cohort, name: EncoderName) -> "Encoder":
    """A pretrained encoder, or the untrained one of a control."""
    control = name in experiment.pretraining.controls
    return load_encoder(experiment, images, name, None if control else pretrain(experiment, name))


def weights_digest(options: EncoderOptions) -> dict[str, str]:
    """Digest of the file of initial weights, if there is one: other weights are another run."""
    if options.pretrained in (None, *PUBLISHED):
        return {}
    file = weights_file(options.architecture, options.pretrained)
    # A missing file is named by who opens it.
    return {"initial_weights": file_digest(file) if file.is_file() else "missing"}


def pretraining_history(experiment: Experiment, objective: str) -> pd.DataFrame:
    """The metrics of an objective's pretraining per epoch, with `strategy` and `seed`."""
    tables = [
        read_table(pretrain(experiment, name).folder / HISTORY_FILE).assign(
            strategy=name.strategy, seed=name.seed
        )
        for name in experiment.pretraining.encoders
        if name.objective == objective
    ]
    return pd.concat(tables, ignore_index=True)


def pair_similarities(experiment: Experiment, *, max_images: int = 240) -> pd.DataFrame:
    """Similarity of the views of SimCLR's own pairs, to its encoders before and after training.

    Of the first seed, on so many test images, evenly spread over the pretraining scanners.

    Returns:
        Rows `strategy`, `training` ('before' or 'after'), `value`, `ci_low`, `ci_high`, `n`.
    """
    from ccl.devices import fastest_device
    from companion.evaluation.pair_similarity import pair_similarity

    images = Cohort.load(make_cohort(experiment).folder)
    rows = evenly(images.rows("test", "pretraining"), max_images)
    patients = images.table["patient_id"].to_numpy()[rows]
    views, seed = experiment.pretraining.simclr.augment, experiment.pretraining.seeds[0]
    start = experiment.pretraining.start("simclr")
    table_rows = []
    for strategy, pairs in pairs_by_strategy(experiment, "simclr").items():
        for training, of in (("before", start), ("after", strategy)):
            name = EncoderName("simclr", of, seed)
            encoder = encoder_of(experiment, images, name).to(fastest_device())
            similarity = pair_similarity(encoder, pairs, rows, patients, views)
            table_rows.append({"strategy": strategy, "training": training, **similarity})
    return pd.DataFrame(table_rows)


def pretraining_costs(experiment: Experiment) -> pd.DataFrame:
    """Costs of generators, banks and pretraining, of the finished runs (`cost_table`)."""
    options = experiment.pretraining
    makers = dict.fromkeys(map(generator_of_bank, options.banks))
    runs = [train_generator(experiment, name) for name in makers if name is not None]
    runs += [make_bank(experiment, name) for name in options.banks]
    runs += [pretrain(experiment, name) for name in options.encoders]
    return cost_table([whole_record(run) for run in runs])
