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
from ccl.config import Experiment
from ccl.evaluation.features import extract_features
from ccl.evaluation.probing import probe as probe_features
from ccl.generator import bank as banks
from ccl.generator import fitting
from ccl.generator import generator as generators
from ccl.generator.quality import measure
from ccl.generator.quality.effectiveness import train_classifier
from ccl.objectives.batches import PairBatches
from ccl.objectives.encoder import Encoder, build_encoder
from ccl.objectives.simclr import SimCLR
from ccl.options import Options
from ccl.pairs import Pairs, Strategy
from ccl.runs import Run, Step, file_digest
from ccl.training import fit

RANDOM = "random"  # the strategy's name of an encoder that was not trained


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


def _table_digest(experiment: Experiment) -> str:
    """Digest of the source's table, so that an edited one is imported anew."""
    source = experiment.source
    tables = {"nih": "csv", "folder": "manifest", "mini-mias": "table", "medmnist": "archive"}
    name = tables.get(source.source)
    if name is None or experiment.data_root is None:
        return ""
    table = Path(experiment.data_root) / getattr(source, name)
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
        _finish_training(folder, history)
        generators.save(trained, folder)
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
            generators.load(trained.folder),
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
    options = _options(classifier=experiment.classifier)
    step = Step(experiment.root, "quality", options, inputs, "ccl.generator.quality")

    def compute(folder: Path) -> None:
        images = cohorts.load(inputs["cohort"].folder)
        classifier = train_classifier(images, experiment.classifier, folder)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        measured = measure(
            images,
            generators.load(inputs["generator"].folder),
            banks.load(inputs["bank"].folder, images),
            classifier,
        )
        measured.to_csv(folder / "quality.csv", index=False)

    return step.run(compute)


def bank_of(experiment: Experiment, strategy: str) -> Run | None:
    """The bank that a strategy draws from, or None where it needs none."""
    if strategy == "oracle":
        return oracle_bank(experiment)
    return None if strategy == "standard" else bank(experiment)


def pairs(experiment: Experiment) -> dict[str, Pairs]:
    """The pairs of every strategy of an experiment, by strategy."""
    images = cohorts.load(cohort(experiment).folder)
    return {
        strategy: _pairs(images, strategy, bank_of(experiment, strategy))
        for strategy in experiment.pretraining.strategies
    }


def _pairs(images: Cohort, strategy: str, bank_run: Run | None) -> Pairs:
    # Oracle pairs are counterfactual pairs; only their bank is the truth.
    how = cast(Strategy, "counterfactual" if strategy == "oracle" else strategy)
    made = banks.load(bank_run.folder, images) if bank_run is not None else None
    return Pairs(how, images.images, made)


def pretrain(experiment: Experiment, strategy: str, seed: int) -> Run:
    """Pretrains one encoder with SimCLR on the pairs of one strategy.

    Raises:
        ValueError: the experiment has no such strategy.
    """
    options = experiment.pretraining
    if strategy not in options.strategies:
        raise ValueError(
            f"strategy '{strategy}' is not one of the experiment's {list(options.strategies)}"
        )
    inputs = {"cohort": cohort(experiment)}
    bank_run = bank_of(experiment, strategy)
    if bank_run is not None:
        inputs["bank"] = bank_run
    described = _options(encoder=options.encoder, simclr=options.simclr)
    step = Step(
        experiment.root,
        "pretrain",
        described | {"strategy": strategy, "seed": seed},
        inputs,
        "ccl.objectives.simclr",
        f"{strategy}, seed {seed}",
    )

    def compute(folder: Path) -> None:
        images = cohorts.load(inputs["cohort"].folder)
        rows = images.rows("train", "pretraining")
        batches = PairBatches(
            _pairs(images, strategy, bank_run),
            rows,
            batch_size=min(options.simclr.batch_size, len(rows)),
            seed=seed,
        )
        encoder = initial_encoder(experiment, images, seed)
        module = SimCLR(encoder, options.simclr, seed=seed, steps_per_epoch=len(batches))
        history = fit(module, batches, epochs=options.simclr.epochs, folder=folder, seed=seed)
        _finish_training(folder, history)
        weights = module.encoder.cpu().state_dict()
        save_file({k: w.contiguous() for k, w in weights.items()}, folder / "encoder.safetensors")

    return step.run(compute)


def initial_encoder(experiment: Experiment, images: Cohort, seed: int) -> Encoder:
    """The encoder that pretraining with a seed starts from; untrained, it is the control."""
    torch.manual_seed(seed)
    height, width = images.images.shape[1:]
    return build_encoder(experiment.pretraining.encoder, (height, width))


def pretraining_history(experiment: Experiment) -> pd.DataFrame:
    """The metrics of every pretraining run per epoch, with its `strategy` and `seed`."""
    tables = [
        pd.read_csv(pretrain(experiment, strategy, seed).folder / "history.csv").assign(
            strategy=strategy, seed=seed
        )
        for strategy in experiment.pretraining.strategies
        for seed in experiment.pretraining.seeds
    ]
    return pd.concat(tables, ignore_index=True)


def probe(experiment: Experiment) -> Run:
    """Probes every encoder and the random control: `results.csv`."""
    options = experiment.pretraining
    runs = {
        (strategy, seed): pretrain(experiment, strategy, seed)
        for strategy in options.strategies
        for seed in options.seeds
    }
    images = cohort(experiment)
    inputs = {"cohort": images} | {f"{s}-{seed}": run for (s, seed), run in runs.items()}
    described = _options(probing=experiment.probing, encoder=options.encoder) | {
        "seeds": list(options.seeds)
    }
    step = Step(experiment.root, "probe", described, inputs, "ccl.evaluation.probing")

    def compute(folder: Path) -> None:
        found = cohorts.load(images.folder)
        trained: Mapping[tuple[str, int], Run | None] = {
            **runs,
            **{(RANDOM, seed): None for seed in options.seeds},
        }
        tables = []
        for (strategy, seed), run in trained.items():
            encoder = initial_encoder(experiment, found, seed)
            if run is not None:
                encoder.load_state_dict(load_file(run.folder / "encoder.safetensors"))
            tables.append(
                probe_features(
                    found,
                    extract_features(encoder, found.images),
                    experiment.probing,
                    objective="simclr",
                    strategy=strategy,
                    pretrain_seed=seed,
                )
            )
        pd.concat(tables, ignore_index=True).to_csv(folder / "results.csv", index=False)

    return step.run(compute)


def _finish_training(folder: Path, history: pd.DataFrame) -> None:
    """Keeps the metrics and leaves no checkpoint behind."""
    history.to_csv(folder / "history.csv", index=False)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
