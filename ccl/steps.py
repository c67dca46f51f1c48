"""The steps of an experiment: each returns its finished run, computing it only where it is new.

The same functions serve the notebooks, the command line and the workflow.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from ccl import cohorts
from ccl.cohorts import Cohort
from ccl.cohorts.writer import OnBadImage
from ccl.config import EncoderName, Experiment, ObjectiveName
from ccl.evaluation.protocols import judge
from ccl.evaluation.scores import Scores
from ccl.generator import bank as banks
from ccl.generator import fitting
from ccl.generator import generator as generators
from ccl.generator.quality import measure, train_judges
from ccl.objectives.batches import PairBatches
from ccl.objectives.dino import Dino
from ccl.objectives.encoder import Encoder, EncoderOptions, build_encoder
from ccl.objectives.initial_weights import IMAGENET, weights_file
from ccl.objectives.simclr import SimCLR
from ccl.options import Options
from ccl.pairs import Pairs, Strategy
from ccl.runs import Run, Step, file_digest
from ccl.training import HISTORY_FILE, fastest_device, fit, forget_checkpoints

ENCODER_FILE = "encoder.safetensors"
RESULTS_FILE = "results.csv"
SCORES_FILE = "scores.parquet"
SEPARABILITY_FILE = "separability.csv"
# Lightning modules, built as `module(encoder, options, seed=..., steps_per_epoch=...)` and fed
# `PairBatches` of any strategy; `.pretrained` is the encoder to evaluate once training is over.
OBJECTIVES: Mapping[str, Any] = {"simclr": SimCLR, "dino": Dino}


def _options(**sections: Options) -> dict[str, Any]:
    return {name: section.model_dump(mode="json") for name, section in sections.items()}


def cohort(experiment: Experiment, on_bad_image: str = "error") -> Run:
    """Imports or simulates the images.

    Args:
        experiment: names the source.
        on_bad_image: 'error', or 'skip' to import the rest. Not part of the digest: later steps go
            on with the cohort that there is, and `cohort.json` records what was skipped.
    """
    source = experiment.source
    options = _options(source=source) | {
        "data_root": str(Path(experiment.data_root).resolve()) if experiment.data_root else "",
        "table": _table_digest(experiment),
    }
    step = Step(experiment.root, "cohort", options, {}, f"ccl.cohorts.{_module(source)}")

    def compute(folder: Path) -> dict[str, Any]:
        # The importer renames its own unfinished work: it goes on from there after a kill.
        made = folder / "made"
        if not made.exists():
            cohorts.build(source, experiment.data_root, made, cast(OnBadImage, on_bad_image))
        for file in made.iterdir():
            file.rename(folder / file.name)
        made.rmdir()
        return {"images": len(cohorts.load(folder))}

    return step.run(compute)


def tables(experiment: Experiment) -> list[str]:
    """Files in the data root, relative to it, that say which images there are."""
    source = experiment.source
    options = {"nih": "csv", "folder": "manifest", "mini-mias": "table", "medmnist": "archive"}
    option = options.get(source.source)
    return [] if option is None else [str(getattr(source, option))]


def _table_digest(experiment: Experiment) -> str:
    """Digest of the source's table, so that an edited one is imported anew."""
    names = tables(experiment)
    if not names or experiment.data_root is None:
        return ""
    table = Path(experiment.data_root) / names[0]
    # A missing table is named by the importer, which knows what it is for.
    return file_digest(table) if table.is_file() else "missing"


def _module(source: Options) -> str:
    return type(source).__module__.rsplit(".", 1)[-1]


def generator(experiment: Experiment) -> Run:
    """Trains the causal generator."""
    images = cohort(experiment)
    options = _options(generator=experiment.generator)
    step = Step(experiment.root, "generator", options, {"cohort": images}, "ccl.generator.fitting")

    def compute(folder: Path) -> dict[str, Any]:
        trained, history = fitting.train(cohorts.load(images.folder), experiment.generator, folder)
        generators.save(trained, folder)
        _finish_training(folder, history)
        return {"parameters": sum(p.numel() for p in trained.hvae.parameters())}

    return step.run(compute)


def bank(experiment: Experiment) -> Run:
    """Makes the generator's counterfactuals of every image under every scanner."""
    trained = generator(experiment)
    inputs = {"cohort": cohort(experiment), "generator": trained}
    options = _options(bank=experiment.bank)
    step = Step(experiment.root, "bank", options, inputs, "ccl.generator.bank")
    return step.run(
        lambda folder: banks.make(
            cohorts.load(inputs["cohort"].folder),
            generators.load(trained.folder, fastest_device()),
            experiment.bank,
            folder,
        )
    )


def oracle_bank(experiment: Experiment) -> Run:
    """The bank of true counterfactuals; simulated cohorts only."""
    images = cohort(experiment)
    options = _options(bank=experiment.bank)
    step = Step(experiment.root, "oracle_bank", options, {"cohort": images}, "ccl.generator.bank")
    return step.run(
        lambda folder: banks.make_from_truth(cohorts.load(images.folder), experiment.bank, folder)
    )


def quality(experiment: Experiment) -> Run:
    """Measures the counterfactuals: `quality.csv`."""
    inputs = {
        "cohort": cohort(experiment),
        "generator": generator(experiment),
        "bank": bank(experiment),
    }
    options = _options(quality=experiment.quality)
    step = Step(experiment.root, "quality", options, inputs, "ccl.generator.quality")

    def compute(folder: Path) -> None:
        images = cohorts.load(inputs["cohort"].folder)
        judges = train_judges(images, experiment.quality, folder / "judges")
        measured = measure(
            images,
            generators.load(inputs["generator"].folder),
            banks.load(inputs["bank"].folder, images),
            judges,
            experiment.quality,
        )
        measured.to_csv(folder / "quality.csv", index=False)
        shutil.rmtree(folder / "judges")  # checkpoints of the classifiers

    return step.run(compute)


def bank_of(experiment: Experiment, strategy: str) -> Run | None:
    """The bank that a strategy draws from, or None where it needs none."""
    if strategy == "oracle":
        return oracle_bank(experiment)
    return None if strategy == "standard" else bank(experiment)


def pairs(experiment: Experiment, objective: ObjectiveName) -> dict[str, Pairs]:
    """The pairs of every strategy that an objective is trained with, by strategy."""
    images = cohorts.load(cohort(experiment).folder)
    return {
        strategy: _pairs(images, strategy, bank_of(experiment, strategy))
        for strategy in experiment.pretraining.strategies[objective]
    }


def _pairs(images: Cohort, strategy: str, bank_run: Run | None) -> Pairs:
    # Oracle pairs are counterfactual pairs; only their bank is the truth.
    how = cast(Strategy, "counterfactual" if strategy == "oracle" else strategy)
    made = banks.load(bank_run.folder, images) if bank_run is not None else None
    return Pairs(how, images.images, made)


def pretrain(experiment: Experiment, name: EncoderName) -> Run:
    """Pretrains one encoder with one objective on the pairs of one strategy.

    Raises:
        ValueError: the experiment has no such encoder.
    """
    if name not in experiment.pretraining.encoders:
        raise ValueError(
            f"encoder '{name}' is not one of the experiment's: "
            + ", ".join(map(str, experiment.pretraining.encoders))
        )
    options = experiment.pretraining.options(name.objective)
    inputs = {"cohort": cohort(experiment)}
    bank_run = bank_of(experiment, name.strategy)
    if bank_run is not None:
        inputs["bank"] = bank_run
    described = {
        name.objective: options.model_dump(mode="json"),
        **_initial_weights(options.encoder),
        **name._asdict(),
    }
    module = OBJECTIVES[name.objective]
    step = Step(experiment.root, "pretrain", described, inputs, module.__module__, str(name))

    def compute(folder: Path) -> None:
        images = cohorts.load(inputs["cohort"].folder)
        rows = images.rows("train", "pretraining")
        batches = PairBatches(
            _pairs(images, name.strategy, bank_run),
            rows,
            batch_size=min(options.batch_size, len(rows)),
            seed=name.seed,
        )
        encoder = initial_encoder(experiment, images, name)
        trained = module(encoder, options, seed=name.seed, steps_per_epoch=len(batches))
        history = fit(trained, batches, epochs=options.epochs, folder=folder, seed=name.seed)
        weights = trained.pretrained.cpu().state_dict()
        save_file({k: w.contiguous() for k, w in weights.items()}, folder / ENCODER_FILE)
        _finish_training(folder, history)

    return step.run(compute)


def initial_encoder(experiment: Experiment, images: Cohort, name: EncoderName) -> Encoder:
    """The encoder that pretraining starts from; untrained, it is the control."""
    torch.manual_seed(name.seed)
    height, width = images.images.shape[1:]
    options = experiment.pretraining.options(name.objective)
    return build_encoder(options.encoder, (height, width))


def _initial_weights(options: EncoderOptions) -> dict[str, str]:
    """Digest of the file of initial weights, if there is one: other weights are another run."""
    if options.pretrained in (None, IMAGENET):
        return {}
    file = weights_file(options.pretrained)
    # A missing file is named by who opens it.
    return {"initial_weights": file_digest(file) if file.is_file() else "missing"}


def pretraining_history(experiment: Experiment, objective: str) -> pd.DataFrame:
    """The metrics of an objective's pretraining per epoch, with `strategy` and `seed`."""
    tables = [
        pd.read_csv(pretrain(experiment, name).folder / HISTORY_FILE).assign(
            strategy=name.strategy, seed=name.seed
        )
        for name in experiment.pretraining.encoders
        if name.objective == objective
    ]
    return pd.concat(tables, ignore_index=True)


def evaluate(experiment: Experiment, name: EncoderName) -> Run:
    """Evaluates one encoder, pretrained or a control.

    Writes `results.csv`, `scores.parquet` and `separability.csv`.

    Raises:
        ValueError: the experiment has no such encoder.
    """
    inputs = {"cohort": cohort(experiment)}
    if name not in experiment.pretraining.controls:
        inputs["encoder"] = pretrain(experiment, name)
    options = experiment.pretraining.options(name.objective)
    described = _options(probing=experiment.probing, encoder=options.encoder) | name._asdict()
    described |= _initial_weights(options.encoder)
    if experiment.finetuning is not None:
        described |= _options(finetuning=experiment.finetuning)
    step = Step(
        experiment.root, "evaluate", described, inputs, "ccl.evaluation.protocols", str(name)
    )

    def compute(folder: Path) -> None:
        images = cohorts.load(inputs["cohort"].folder)
        encoder = initial_encoder(experiment, images, name)
        if "encoder" in inputs:
            encoder.load_state_dict(load_file(inputs["encoder"].folder / ENCODER_FILE))
        encoder.to(fastest_device())
        scores = Scores()
        judged = judge(
            images,
            encoder,
            experiment.probing,
            experiment.finetuning,
            objective=name.objective,
            strategy=name.strategy,
            pretrain_seed=name.seed,
            collected=scores,
        )
        scores.save(folder / SCORES_FILE)
        judged.separability.to_csv(folder / SEPARABILITY_FILE, index=False)
        judged.results.to_csv(folder / RESULTS_FILE, index=False)

    return step.run(compute)


def results(experiment: Experiment) -> Run:
    """Brings the tables of every encoder and control together.

    Writes `results.csv` and `separability.csv`.
    """
    names = (*experiment.pretraining.encoders, *experiment.pretraining.controls)
    inputs = {str(name): evaluate(experiment, name) for name in names}
    step = Step(experiment.root, "results", {}, inputs, "ccl.evaluation.results")

    def compute(folder: Path) -> None:
        for file in (SEPARABILITY_FILE, RESULTS_FILE):
            tables = [
                pd.read_csv(run.folder / file, keep_default_na=False, na_values=[""])
                for run in inputs.values()
            ]
            filled = [table for table in tables if len(table)] or tables[:1]
            pd.concat(filled, ignore_index=True).to_csv(folder / file, index=False)

    return step.run(compute)


def _finish_training(folder: Path, history: pd.DataFrame) -> None:
    """Keeps the metrics; then, all results being saved, leaves no checkpoint behind."""
    history.to_csv(folder / HISTORY_FILE, index=False)
    forget_checkpoints(folder)
