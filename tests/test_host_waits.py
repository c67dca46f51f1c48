"""A training step hands its work to the GPU and goes on: nothing in it makes the host wait.

Whole trainings run by `fit` on the pretend device, which notes what a GPU's host would wait for.
Epochs have three steps: waits count from the start of the second to the start of the last, so that
the ends of an epoch may wait, and what is read in the first of every so many steps.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.accelerators import Accelerator
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import SingleDeviceStrategy

from ccl.generator.classifier import ClassifierOptions, ImageClassifier
from ccl.generator.finetuning import CounterfactualFinetuning
from ccl.generator.hvae import HVAE
from ccl.generator.options import GeneratorOptions, TuningOptions
from ccl.generator.training import HVAETraining, training_batches
from ccl.objectives.batches import PairBatches
from ccl.pairs import Pairs
from ccl.trainer import EpochBatches, fit
from companion.cohorts.causes import image_parents
from companion.cohorts.cohort import Cohort
from companion.cohorts.registry import build
from companion.cohorts.simulation.phantom_chest import PhantomChestOptions
from companion.evaluation import finetuning
from companion.quality.classifier import Targets, attribute_targets, scanner_target
from tests.evaluation.test_finetuning import SHORT, new_encoder, striped_cohort
from tests.generator.conftest import SMALL
from tests.objectives.test_devices import always, dino, simclr
from tests.pretend_device import DEVICE, host_waits, pretend_device

STEPS = 3
Training = tuple[lightning.LightningModule, EpochBatches]


def accelerator() -> Accelerator:
    """What Lightning wants to know of a device."""
    says: dict[str, Any] = {name: lambda *_: None for name in Accelerator.__abstractmethods__}
    says["is_available"] = lambda *_: True
    says["auto_device_count"] = lambda *_: 1
    says["parse_devices"] = lambda *given: given[-1]
    says["get_parallel_devices"] = lambda *_: [DEVICE]
    return type("PretendAccelerator", (Accelerator,), says)()


class Starts(Callback):
    """How often the host had waited when each step began."""

    def __init__(self, waits: list[str]) -> None:
        self.waits, self.at = waits, list[int]()

    def on_train_batch_start(self, *_: Any) -> None:
        self.at.append(len(self.waits))


@pytest.fixture
def within_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Training], list[str]]]:
    """What a training's host waits for within its steps."""
    trainer = lightning.Trainer

    def trained(training: Training) -> list[str]:
        module, batches = training
        with host_waits() as waits:
            starts = Starts(waits)

            def made(*, callbacks: list[Callback], **named: Any) -> lightning.Trainer:
                for choice in ("accelerator", "devices", "num_nodes"):
                    del named[choice]
                named["strategy"] = SingleDeviceStrategy(DEVICE, accelerator())
                return trainer(callbacks=[starts, *callbacks], **named)

            monkeypatch.setattr(lightning, "Trainer", made)
            fit(module, batches, epochs=2, folder=tmp_path, seed=0)
        assert len(starts.at) == 2 * STEPS
        first, second = starts.at[:STEPS], starts.at[STEPS:]
        return sorted({*waits[first[1] : first[-1]], *waits[second[1] : second[-1]]})

    with pretend_device():
        yield trained


def pairs() -> PairBatches:
    images = np.random.default_rng(0).integers(0, 256, (8 * STEPS, 32, 32)).astype(np.uint8)
    return PairBatches(Pairs("standard", images), np.arange(8 * STEPS), batch_size=8, seed=0)


NEVER = {"collapse": {"largest_loss": 9, "least_spread": 0, "least_prototype_entropy": 0}}


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (simclr, {"optimizer": "adam"}),
        (dino, {"centering": "sinkhorn", "drop_path": 0.3}),
        (dino, {"centering": "softmax", "ibot_head": "shared"}),
    ],
)
def test_pretraining(within_steps, make, options):
    module = make(**options | (NEVER if make is dino else {}))
    assert within_steps((module, pairs())) == []


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    options = PhantomChestOptions(size=32, n_train=120, n_val=5, n_test_per_scanner=5)
    return build(options, None, tmp_path_factory.mktemp("phantom") / "cohort")


def of_a_generator(phantom: Cohort) -> Training:
    changed = {
        "pixel_map": "line",
        "pixel_noise": "scanner",
        "registered": "sex",
        "stages": SMALL.stages[::2],
    }
    options = GeneratorOptions(
        hvae=SMALL.model_copy(update=changed),
        epochs=2,
        batch_size=20,
        max_steps=STEPS,
        gradient_skip=1e9,
    )
    parents = image_parents(phantom)
    hvae = HVAE(options.hvae, parents.sizes, 32, 32)
    batches = training_batches(phantom, phantom.rows("train", "pretraining"), parents, options)
    return HVAETraining(hvae, options, 2 * STEPS), batches


def all_targets(phantom: Cohort) -> Targets:
    return Targets({**scanner_target(phantom).sizes, **attribute_targets(phantom).sizes})


def of_finetuning_a_generator(phantom: Cohort) -> Training:
    module, batches = of_a_generator(phantom)
    predictor = ImageClassifier(all_targets(phantom).sizes, (32, 32), ClassifierOptions(), 1)
    return CounterfactualFinetuning(
        module.hvae, predictor, module.options, TuningOptions(), 0.0, 8
    ), batches


def of_a_judge(phantom: Cohort) -> Training:
    targets = all_targets(phantom)
    assert set(targets.sizes) == {"scanner", "sex", "finding", "age"}
    options = GeneratorOptions(hvae=SMALL, epochs=2, batch_size=20, max_steps=STEPS)
    batches = training_batches(phantom, phantom.rows("train", "pretraining"), targets, options)
    return ImageClassifier(targets.sizes, (32, 32), ClassifierOptions(), 2 * STEPS), batches


@pytest.mark.parametrize("training", [of_a_generator, of_finetuning_a_generator, of_a_judge])
def test_the_generator_and_its_judges(within_steps, phantom, training):
    assert within_steps(training(phantom)) == []


def test_finetuning_an_encoder(monkeypatch):
    """Its loop is its own: every step but the last of its one epoch."""
    cohort = striped_cohort(patients=60)
    rows = cohort.rows("train")
    options = SHORT.model_copy(
        update={
            "augment": always(type(SHORT.augment)),
            "epochs": 1,
            "batch_size": 8,
            "min_steps": STEPS,
            "max_steps": STEPS,
        }
    )
    starts, loss = list[int](), finetuning._loss
    with pretend_device(), host_waits() as waits:

        def watched(*given: Any) -> torch.Tensor:
            starts.append(len(waits))
            return loss(*given)

        monkeypatch.setattr(finetuning, "_loss", watched)
        encoder = new_encoder().to(DEVICE)
        finetuning.fit_classifier(cohort, encoder, rows, options, seed=0)
    assert len(starts) == STEPS
    assert waits[starts[0] : starts[-1]] == []
