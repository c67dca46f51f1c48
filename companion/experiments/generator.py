"""The step `generator`: the causal generator of a cohort, trained, stopped early or finetuned."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ccl import distributed
from ccl.files import HISTORY_FILE
from ccl.generator.options import GeneratorOptions, TuningOptions
from companion.cohorts.bank import require_variable
from companion.cohorts.cohort import Cohort
from companion.engine import storage
from companion.engine.runs import Run, Step, as_json
from companion.experiments.cohort import make_cohort
from companion.experiments.config import Experiment
from companion.strategies import BANKS, BASE, GENERATORS, split_seed, with_seed

if TYPE_CHECKING:
    import torch

    from ccl.generator.generator import Generator

CODE = ("ccl.generator.training", "companion.cohorts.causes")
# What finetuning needs beside.
TUNING_CODE = (*CODE, "ccl.generator.finetuning", "companion.quality.classifier")


def train_generator(experiment: Experiment, name: str = BASE) -> Run:
    """The finished causal generator.

    'base'; 'early', the same stopped early; or 'tuned', base finetuned on its counterfactuals;
    trained with another seed, 'base-1' and so on.

    Raises:
        ValueError: there is no such generator.
    """
    variant, seed = split_seed(name)
    if variant == "tuned":
        return _finetuned(experiment, seed)
    if variant not in GENERATORS:
        raise ValueError(f"there is no generator '{variant}'; there are {', '.join(GENERATORS)}")
    cohort, options = make_cohort(experiment), experiment.generator.repeated(seed)
    recorded, stop_after = as_json(generator=options), None
    if variant == "early":
        stop_after = max(1, round(experiment.variants.early_share * options.epochs))
        recorded["stop_after"] = stop_after
    label = "" if name == BASE else name
    step = Step(
        experiment.root,
        "generator",
        recorded,
        {"cohort": cohort},
        CODE,
        (train_generator,),
        label,
        shared=True,
    )

    def compute(folder: Path) -> dict[str, Any]:
        images = Cohort.load(cohort.folder)
        _require_variables(experiment, images)
        return _save(*train(images, options, folder, stop_after), folder)

    return step.run(compute)


def _finetuned(experiment: Experiment, seed: int) -> Run:
    options, tuning = experiment.generator.repeated(seed), experiment.variants.tuning
    tuning = tuning.model_copy(update={"predictor": tuning.predictor.repeated(seed)})
    inputs = {
        "cohort": make_cohort(experiment),
        "generator": train_generator(experiment, with_seed(BASE, seed)),
    }
    step = Step(
        experiment.root,
        "generator",
        as_json(generator=options, tuning=tuning),
        inputs,
        TUNING_CODE,
        (_finetuned,),
        with_seed("tuned", seed),
        shared=True,
    )

    def compute(folder: Path) -> dict[str, Any]:
        from ccl.devices import fastest_device

        base = load(inputs["generator"].folder, fastest_device())
        images = Cohort.load(inputs["cohort"].folder)
        trained, history = finetune(images, base, options, tuning, folder)
        if distributed.is_main_process():
            shutil.rmtree(folder / "predictor")  # checkpoints of the predictor
        return _save(trained, history, folder)

    return step.run(compute)


def _require_variables(experiment: Experiment, images: Cohort) -> None:
    """Refuses banks that the generator will not be able to make, before it is trained."""
    from companion.cohorts.causes import image_parents

    options = experiment.generator
    parents = image_parents(images, options.graph, options.coupling)
    for bank in {BANKS[split_seed(name)[0]] for name in experiment.pretraining.banks}:
        if bank.variant is not None:
            require_variable(bank.variable, parents, images.name)


def train(
    cohort: Cohort, options: GeneratorOptions, folder: Path | None, stop_after: int | None = None
) -> "tuple[Generator, pd.DataFrame]":
    """A generator trained on the train split, and its history; see `ccl.generator.training`."""
    from ccl.generator import training
    from companion.cohorts.causes import image_parents

    rows = cohort.rows("train", "pretraining")
    parents = image_parents(cohort, options.graph, options.coupling)
    generator, history = training.train(cohort, rows, parents, options, folder, stop_after)
    return generator, pd.DataFrame(history)


def finetune(
    cohort: Cohort,
    base: "Generator",
    options: GeneratorOptions,
    tuning: TuningOptions,
    folder: Path,
) -> "tuple[Generator, pd.DataFrame]":
    """`base` finetuned, which changes it, and its history; see `ccl.generator.finetuning`.

    The predictor of its loss is trained on the same images first.
    """
    from ccl.generator import finetuning
    from companion.quality import classifier

    sizes = classifier.scanner_target(cohort).sizes, classifier.attribute_targets(cohort).sizes
    targets = classifier.Targets({**sizes[0], **sizes[1]})
    predictor = classifier.train_classifier(cohort, targets, tuning.predictor, folder / "predictor")
    rows = cohort.rows("train", "pretraining")
    generator, history = finetuning.finetune(cohort, rows, base, predictor, options, tuning, folder)
    return generator, pd.DataFrame(history)


def _save(trained: "Generator", history: pd.DataFrame, folder: Path) -> dict[str, Any]:
    from ccl.generator.generator import save

    if distributed.is_main_process():
        save(trained, folder)
        history.to_csv(folder / HISTORY_FILE, index=False)
    return {"parameters": sum(p.numel() for p in trained.hvae.parameters())}


def load(folder: Path, device: "torch.device | str" = "cpu") -> "Generator":
    """The generator that `ccl.generator.generator.save` wrote, on a device.

    Raises:
        FileNotFoundError: the folder holds no generator.
        DamagedFileError: a file is not what was written.
    """
    from ccl.generator.generator import DESCRIPTION, WEIGHTS, build

    path = folder / DESCRIPTION
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: '{folder}' holds no trained generator")
    return build(storage.read_json(path), storage.read_safetensors(folder / WEIGHTS), device)
