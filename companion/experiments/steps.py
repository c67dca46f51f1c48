"""The steps of an experiment: each returns its finished run, computing it only where it is new.

The same functions serve the notebooks, the command line and the workflow. What trains or measures
is imported where it does so: notebooks and small steps, which load what is finished, start sooner.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from ccl import distributed
from ccl.devices import fastest_device
from ccl.encoders.encoder import Encoder
from ccl.encoders.options import PUBLISHED, EncoderOptions, weights_file
from ccl.files import HISTORY_FILE
from ccl.generator.generator import Generator, save
from ccl.objectives.batches import PairBatches
from ccl.options import Options
from ccl.pairs import Pairs
from companion.cohorts import registry
from companion.cohorts.causes import image_parents
from companion.cohorts.cohort import Cohort, evenly
from companion.cohorts.importing import reimports, sources
from companion.cohorts.importing.import_options import ImportOptions
from companion.cohorts.importing.writer import OnBadImage
from companion.engine import storage
from companion.engine.csv_files import read_table, write_table
from companion.engine.file_digests import digest
from companion.engine.runs import Run, Step
from companion.engine.storage import RECORD
from companion.evaluation import features as saved_features
from companion.evaluation.cost import cost_table, whole_record
from companion.evaluation.pair_similarity import pair_similarity
from companion.evaluation.scores import Scores
from companion.experiments import bank as banks
from companion.experiments import config, generators
from companion.experiments.config import EncoderName, Experiment, ObjectiveName
from companion.experiments.initial_weights import architecture, starting_encoder
from companion.strategies import BANKS, BASE, GENERATORS, RANDOM, STRATEGIES, generator_of

ENCODER_FILE = "encoder.safetensors"
RESULTS_FILE = "results.csv"
SCORES_FILE = "scores.parquet"
SEPARABILITY_FILE = "separability.csv"
CONFUSION_FILE = "confusion.csv"
FEATURES_FILE = "test_features.npy"

# The modules whose code, with all that they import, each step's results depend on.
CODE: Mapping[str, tuple[str, ...]] = {
    "cohort": ("companion.cohorts.importing.writer",),  # and the source's
    "generator": ("companion.experiments.generators",),
    "bank": ("companion.experiments.bank",),
    "quality": ("companion.quality",),
    "pretrain": (  # and the objective's
        "ccl.objectives.batches",
        "ccl.trainer",
        "companion.experiments.initial_weights",
    ),
    "evaluate": ("companion.evaluation.protocols",),
    "results": ("companion.evaluation.results",),
}


def _options(**sections: Options) -> dict[str, Any]:
    return {name: section.model_dump(mode="json") for name, section in sections.items()}


def cohort(
    experiment: Experiment, on_bad_image: str = "error", on_changed_data: str = "error"
) -> Run:
    """Imports or simulates the images; looks whether a finished import's files are as they were.

    Args:
        experiment: names the source.
        on_bad_image: 'error', or 'skip' to import the rest. Not part of the digest: later steps go
            on with the cohort that there is, and `cohort.json` records what was skipped.
        on_changed_data: what to do where files of the data root are not those that a finished
            cohort was imported from: 'error', or 'reimport' as another run.

    Raises:
        ChangedSourcesError: such files; names them.
    """
    bad = cast(OnBadImage, on_bad_image)
    if experiment.data_root is None:
        return _imported(experiment, bad, 0)
    root = str(Path(experiment.data_root).resolve())
    reimported = reimports.count(experiment.root, root)
    run = _imported(experiment, bad, reimported)
    if distributed.broadcast(
        distributed.is_main_process() and _is_to_reimport(run, Path(root), on_changed_data)
    ):
        run = _imported(experiment, bad, reimported + 1)
        if distributed.is_main_process():
            reimports.keep(experiment.root, root, reimported + 1)
        distributed.barrier()
    return run


def _imported(experiment: Experiment, on_bad_image: OnBadImage, reimported: int) -> Run:
    """The finished import after so many others of the same data root."""
    source = experiment.source
    options = _options(source=source) | ({"reimported": reimported} if reimported else {})
    options["data_root"] = str(Path(experiment.data_root).resolve()) if experiment.data_root else ""
    options["tables"] = _table_digests(experiment, options)
    code = (type(source).__module__, *CODE["cohort"])
    step = Step(experiment.root, "cohort", options, {}, code)

    def compute(folder: Path) -> dict[str, Any]:
        # The importer renames its own unfinished work: it goes on from there after a kill.
        made = folder / "made"
        if not made.exists():
            registry.build(source, experiment.data_root, made, on_bad_image)
        for file in made.iterdir():
            file.rename(folder / file.name)
        made.rmdir()
        return {"images": len(Cohort.load(folder))}

    return step.run(compute)


def _is_to_reimport(run: Run, root: Path, on_changed_data: str) -> bool:
    """Whether files that a finished cohort was imported from changed, where that is accepted."""
    if sources.gone(root):
        sources.warn_of_absence(run.folder, root)
        return False
    if on_changed_data == "error":
        sources.require_unchanged(run.folder, root, run.record["finished"])
        return False
    return bool(sources.changes(run.folder, root))


def tables(experiment: Experiment) -> tuple[str, ...]:
    """Files in the data root, relative to it, that say which images there are."""
    source = experiment.source
    return source.tables if isinstance(source, ImportOptions) else ()


def _table_digests(experiment: Experiment, options: dict[str, Any]) -> dict[str, str]:
    """Digests of the source's tables, so that an edited one is imported anew.

    Args:
        experiment: names the source.
        options: all others of the import. Where the data root is gone, its tables are taken for
            those of the last import with the same.
    """
    if experiment.data_root is None:
        return {}
    if sources.gone(Path(experiment.data_root)):
        return _last_tables(experiment, options)
    found = {name: Path(experiment.data_root) / name for name in tables(experiment)}
    # A missing table is named by the importer, which knows what it is for.
    return {
        name: digest(table, experiment.root) if table.is_file() else "missing"
        for name, table in found.items()
    }


def _last_tables(experiment: Experiment, options: dict[str, Any]) -> dict[str, str]:
    files = (experiment.root / "cohort").glob(f"*/{RECORD}")
    last: dict[str, Any] = {"finished": "", "options": {"tables": {}}}
    for record in map(storage.described, files):
        others = {name: value for name, value in record["options"].items() if name != "tables"}
        if others == options and record["finished"] > last["finished"]:
            last = record
    return dict(last["options"]["tables"])


def generator(experiment: Experiment, variant: str = BASE) -> Run:
    """Trains the causal generator.

    Args:
        experiment: of the images.
        variant: 'base'; 'early', the same stopped early; or 'tuned', base finetuned on its
            counterfactuals.

    Raises:
        ValueError: there is no such variant.
    """
    if variant == "tuned":
        return _tuned_generator(experiment)
    if variant not in GENERATORS:
        raise ValueError(f"there is no generator '{variant}'; there are {', '.join(GENERATORS)}")
    images, options = cohort(experiment), experiment.generator
    described: dict[str, Any] = _options(generator=options)
    stop_after = None
    if variant == "early":
        stop_after = max(1, round(experiment.variants.early_share * options.epochs))
        described["stop_after"] = stop_after
    step = _generator_step(experiment, described, {"cohort": images}, variant)

    def compute(folder: Path) -> dict[str, Any]:
        loaded = Cohort.load(images.folder)
        known = image_parents(loaded, options.graph, options.coupling)
        for name in banks_of(experiment):  # rather now than after the training
            if BANKS[name].variant is not None:
                banks.require_variable(BANKS[name].variable, known, loaded.name)
        made = generators.train(loaded, options, folder, stop_after)
        return _finish_generator(*made, folder)

    return step.run(compute)


def _tuned_generator(experiment: Experiment) -> Run:
    options, tuning = experiment.generator, experiment.variants.tuning
    inputs = {"cohort": cohort(experiment), "generator": generator(experiment)}
    described = _options(generator=options, tuning=tuning)
    step = _generator_step(experiment, described, inputs, "tuned")

    def compute(folder: Path) -> dict[str, Any]:
        base = generators.load(inputs["generator"].folder, fastest_device())
        images = Cohort.load(inputs["cohort"].folder)
        made = generators.finetune(images, base, options, tuning, folder)
        if distributed.is_main_process():
            shutil.rmtree(folder / "predictor")  # checkpoints of the predictor
        return _finish_generator(*made, folder)

    return step.run(compute)


def _generator_step(
    experiment: Experiment,
    options: dict[str, Any],
    inputs: dict[str, Run],
    variant: str,
) -> Step:
    label = "" if variant == BASE else variant
    code = CODE["generator"]
    return Step(experiment.root, "generator", options, inputs, code, label, shared=True)


def _finish_generator(trained: Generator, history: pd.DataFrame, folder: Path) -> dict[str, Any]:
    if distributed.is_main_process():
        save(trained, folder)
        history.to_csv(folder / HISTORY_FILE, index=False)
    return {"parameters": sum(p.numel() for p in trained.hvae.parameters())}


def bank(experiment: Experiment, name: str = "scanner") -> Run:
    """Makes the counterfactuals of every image under every value of one variable.

    Args:
        experiment: of the images.
        name: of one of `companion.strategies.BANKS`.

    Raises:
        ValueError: there is no bank of that name, or the generator does not know its variable.
    """
    if name not in BANKS:
        raise ValueError(f"there is no bank '{name}'; there are {', '.join(BANKS)}")
    inputs = {"cohort": cohort(experiment)}
    variant = BANKS[name].variant
    if variant is not None:
        inputs["generator"] = generator(experiment, variant)
    options = experiment.bank.model_copy(update={"variable": BANKS[name].variable})
    described = _options(bank=options)
    code = CODE["bank"]
    step = Step(experiment.root, "bank", described, inputs, code, name, shared=True)

    def compute(folder: Path) -> None:
        images = Cohort.load(inputs["cohort"].folder)
        if "generator" in inputs:
            trained = generators.load(inputs["generator"].folder, fastest_device())
            banks.make(images, trained, options, folder)
        else:
            banks.make_from_truth(images, options, folder)

    return step.run(compute)


def quality(experiment: Experiment, variant: str = BASE) -> Run:
    """Measures the counterfactuals of a generator: `quality.csv` and `abduction.csv`.

    Args:
        experiment: of the images.
        variant: one of `companion.strategies.GENERATORS`.
    """
    inputs = {
        "cohort": cohort(experiment),
        "generator": generator(experiment, variant),
        "bank": bank(experiment, "scanner" if variant == BASE else variant),
    }
    options = _options(quality=experiment.quality)
    label = "" if variant == BASE else variant
    step = Step(experiment.root, "quality", options, inputs, CODE["quality"], label)

    def compute(folder: Path) -> None:
        from companion.quality import compare_abduction, measure, train_judges

        images = Cohort.load(inputs["cohort"].folder)
        judges = train_judges(images, experiment.quality, folder / "judges")
        trained = generators.load(inputs["generator"].folder, fastest_device())
        made = banks.load(inputs["bank"].folder, images)
        compared = compare_abduction(images, trained, judges, experiment.quality)
        write_table(compared, folder / "abduction.csv")
        measured = measure(images, trained, made, judges, experiment.quality)
        write_table(measured, folder / "quality.csv")
        shutil.rmtree(folder / "judges")  # checkpoints of the classifiers

    return step.run(compute)


def qualities(experiment: Experiment, objective: ObjectiveName) -> dict[str, pd.DataFrame]:
    """`quality.csv` of the generators behind an objective's counterfactual pairs, by strategy."""
    found = {}
    for strategy in experiment.pretraining.strategies[objective]:
        variant = generator_of(strategy)
        if variant is not None:
            found[strategy] = read_table(quality(experiment, variant).folder / "quality.csv")
    return found


def bank_of(experiment: Experiment, strategy: str) -> Run | None:
    """The bank that a strategy draws from, or None where it needs none."""
    name = STRATEGIES[strategy].bank
    return None if name is None else bank(experiment, name)


def banks_of(experiment: Experiment) -> list[str]:
    """Names of the banks that the experiment's pairs are drawn from."""
    needed = {STRATEGIES[name.strategy].bank for name in experiment.pretraining.encoders}
    return [name for name in BANKS if name in needed]


def pairs(experiment: Experiment, objective: ObjectiveName) -> dict[str, Pairs]:
    """The pairs of every strategy that an objective is trained with, by strategy."""
    images = Cohort.load(cohort(experiment).folder)
    return {
        strategy: _pairs(images, strategy, bank_of(experiment, strategy))
        for strategy in experiment.pretraining.strategies[objective]
    }


def _pairs(images: Cohort, strategy: str, bank_run: Run | None) -> Pairs:
    made = banks.load(bank_run.folder, images) if bank_run is not None else None
    return Pairs(STRATEGIES[strategy].pairs, images.images, made)


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
        **_initial_weights(experiment, options.encoder),
        **name._asdict(),
    }
    code = (f"ccl.objectives.{name.objective}", *CODE["pretrain"])
    step = Step(experiment.root, "pretrain", described, inputs, code, str(name), shared=True)

    def compute(folder: Path) -> None:
        from ccl.trainer import fit

        images = Cohort.load(inputs["cohort"].folder)
        rows = images.rows("train", "pretraining")
        batches = PairBatches(
            _pairs(images, name.strategy, bank_run),
            rows,
            batch_size=min(options.batch_size, len(rows)),
            seed=name.seed,
            max_steps=options.max_steps,
        )
        encoder = initial_encoder(experiment, images, name)
        trained = _objective(name.objective)(
            encoder, options, seed=name.seed, steps_per_epoch=len(batches)
        )
        history = fit(trained, batches, epochs=options.epochs, folder=folder, seed=name.seed)
        if distributed.is_main_process():
            storage.save_tensors(folder / ENCODER_FILE, trained.pretrained.cpu().state_dict())
            pd.DataFrame(history).to_csv(folder / HISTORY_FILE, index=False)

    return step.run(compute)


def _objective(name: str) -> Any:
    """The Lightning module of an objective, built as `module(encoder, options, *, seed, ...)`.

    It is fed `PairBatches` of any strategy; `.pretrained` is the encoder to evaluate in the end.
    """
    from ccl.objectives.dino import Dino
    from ccl.objectives.simclr import SimCLR

    return {"simclr": SimCLR, "dino": Dino}[name]


def initial_encoder(experiment: Experiment, images: Cohort, name: EncoderName) -> Encoder:
    """The encoder that pretraining starts from; untrained, it is the control."""
    torch.manual_seed(name.seed)
    options = experiment.pretraining.options(name.objective).encoder
    return starting_encoder(options, images.images.shape[1:], experiment.root / "initial")


def encoder_of(experiment: Experiment, images: Cohort, name: EncoderName) -> Encoder:
    """A pretrained encoder, or the untrained one of a control."""
    if name in experiment.pretraining.controls:
        return initial_encoder(experiment, images, name)
    torch.manual_seed(name.seed)
    options = experiment.pretraining.options(name.objective).encoder
    encoder = architecture(options, images.images.shape[1:])
    encoder.load_state_dict(storage.tensors(pretrain(experiment, name).folder / ENCODER_FILE))
    return encoder


def _initial_weights(experiment: Experiment, options: EncoderOptions) -> dict[str, str]:
    """Digest of the file of initial weights, if there is one: other weights are another run."""
    if options.pretrained in (None, *PUBLISHED):
        return {}
    file = weights_file(options.pretrained)
    # A missing file is named by who opens it.
    return {"initial_weights": digest(file, experiment.root) if file.is_file() else "missing"}


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


def pair_similarities(experiment: Experiment, *, most: int = 240) -> pd.DataFrame:
    """How alike SimCLR encoders find the views of their own pairs, before and after training.

    Args:
        experiment: of the encoders, of which those of the first seed are asked.
        most: test images, evenly spread over the pretraining scanners.

    Returns:
        Rows `strategy`, `training` ('before' or 'after'), `value`, `ci_low`, `ci_high`, `n`.
    """
    images = Cohort.load(cohort(experiment).folder)
    rows = evenly(images.rows("test", "pretraining"), most)
    patients = images.table["patient_id"].to_numpy()[rows]
    views, seed = experiment.pretraining.simclr.augment, experiment.pretraining.seeds[0]
    found = []
    for strategy, made in pairs(experiment, "simclr").items():
        for training, of in (("before", RANDOM), ("after", strategy)):
            name = EncoderName("simclr", of, seed)
            encoder = encoder_of(experiment, images, name).to(fastest_device())
            alike = pair_similarity(encoder, made, rows, patients, views)
            found.append({"strategy": strategy, "training": training, **alike})
    return pd.DataFrame(found)


def costs(experiment: Experiment) -> pd.DataFrame:
    """What generator, banks and pretraining cost, of the finished runs (`cost_table`)."""
    made = banks_of(experiment)
    runs = [
        *([generator(experiment)] if any(BANKS[n].made_by == "generator" for n in made) else []),
        *(bank(experiment, name) for name in made),
        *(pretrain(experiment, name) for name in experiment.pretraining.encoders),
    ]
    return cost_table([whole_record(run) for run in runs])


def evaluate(experiment: Experiment, name: EncoderName) -> Run:
    """Evaluates one encoder, pretrained or a control.

    Writes `results.csv`, `scores.parquet`, `separability.csv`, `confusion.csv` and
    `test_features.npy`.

    Raises:
        ValueError: the experiment has no such encoder.
    """
    inputs = {"cohort": cohort(experiment)}
    if name not in experiment.pretraining.controls:
        inputs["encoder"] = pretrain(experiment, name)
    external = {
        other: cohort(config.experiment(experiment.profile_name, other))
        for other in experiment.external
    }
    inputs |= {f"external-{other}": run for other, run in external.items()}
    options = experiment.pretraining.options(name.objective)
    described = _options(probing=experiment.probing, encoder=options.encoder) | name._asdict()
    described |= _initial_weights(experiment, options.encoder)
    if experiment.finetuning is not None:
        described |= _options(finetuning=experiment.finetuning)
    step = Step(
        experiment.root,
        "evaluate",
        described,
        inputs,
        ("companion.evaluation.protocols",),
        str(name),
    )

    def compute(folder: Path) -> None:
        from companion.evaluation.protocols import judge, judge_external

        images = Cohort.load(inputs["cohort"].folder)
        encoder = encoder_of(experiment, images, name).to(fastest_device())
        how = (encoder, experiment.probing, experiment.finetuning, name.columns())
        scores = Scores()
        judged = judge(images, *how, collected=scores)
        tables = [judged.results]
        for other, run in external.items():
            unseen = Cohort.load(run.folder)
            tables.append(judge_external(images, unseen, other, *how))
        scores.save(folder / SCORES_FILE)
        saved_features.save(judged.features[images.rows("test")], folder / FEATURES_FILE)
        write_table(judged.separability, folder / SEPARABILITY_FILE)
        write_table(judged.confusion, folder / CONFUSION_FILE)
        write_table(_joined(tables), folder / RESULTS_FILE)

    return step.run(compute)


def results(experiment: Experiment) -> Run:
    """Brings the tables of every encoder and control together.

    Writes `results.csv`, `separability.csv` and `confusion.csv`.
    """
    names = (*experiment.pretraining.encoders, *experiment.pretraining.controls)
    inputs = {str(name): evaluate(experiment, name) for name in names}
    step = Step(experiment.root, "results", {}, inputs, CODE["results"])

    def compute(folder: Path) -> None:
        for file in (SEPARABILITY_FILE, CONFUSION_FILE, RESULTS_FILE):
            tables = [read_table(run.folder / file) for run in inputs.values()]
            write_table(_joined(tables), folder / file)

    return step.run(compute)


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The rows of some tables; those without rows would blur the columns' types."""
    filled = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(filled, ignore_index=True)


def embeddings(
    experiment: Experiment, objective: str, seed: int, which: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Features of the test images, float32 (n, D), by strategy; 'random' is the control.

    Args:
        experiment: of the encoders.
        objective: of the encoders.
        seed: of their pretraining.
        which: places (n,) among the test images; None for all.
    """
    options = experiment.pretraining
    return {
        name.strategy: saved_features.load(evaluate(experiment, name).folder / FEATURES_FILE, which)
        for name in (*options.encoders, *options.controls)
        if name.objective == objective and name.seed == seed
    }
