"""Finetuning makes interventions arrive, within its constraint, and leaves the predictor alone."""

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ccl.generator.classifier import AGE, ClassifierOptions
from ccl.generator.finetuning import (
    CounterfactualFinetuning,
    ParentsAndTargets,
    TuningOptions,
    free_energy,
    soft_loss,
)
from ccl.generator.generator import to_model
from ccl.generator.training import GeneratorOptions, training_batches
from companion.experiments.generator import finetune, train
from companion.quality.classifier import scanner_target
from tests.generator.conftest import SMALL

QUICK = TuningOptions(
    predictor=ClassifierOptions(epochs=6, batch_size=20, seed=1),
    variables=("scanner",),
    epochs=3,
    learning_rate=2e-3,
)


FEW_STEPS = GeneratorOptions(
    hvae=SMALL, epochs=3, max_steps=2, batch_size=20, warmup_steps=2, ema_decay=0.5
)
SHORT = QUICK.model_copy(
    update={"epochs": 2, "predictor": ClassifierOptions(epochs=1, batch_size=60, seed=1)}
)


@pytest.fixture(scope="module")
def trained(phantom, tmp_path_factory):
    """A barely trained generator; its options."""
    options = GeneratorOptions(hvae=SMALL, epochs=3, batch_size=20, warmup_steps=2, ema_decay=0.5)
    return train(phantom, options, tmp_path_factory.mktemp("base"))[0], options


def test_soft_labels_ask_for_what_was_seen_before():
    before = torch.tensor([[0.3, -1.0], [2.0, 0.1]])
    assert soft_loss("sex", before, before) == pytest.approx(0, abs=1e-6)
    surer = 5 * before
    p = F.softmax(before, dim=1)
    expected = (p * (p.log() - F.log_softmax(surer, dim=1))).sum(dim=1).mean()
    assert soft_loss("sex", surer, before) == pytest.approx(float(expected), rel=1e-5)
    assert soft_loss(AGE, before[:, :1] + 0.2, before[:, :1]) == pytest.approx(0.02, rel=1e-4)


@pytest.fixture
def predictors(monkeypatch):
    """Receives the predictors that finetuning uses, with their weights of before."""
    used = []
    init = CounterfactualFinetuning.__init__

    def remembering(self, hvae, predictor, *rest):
        used.append((predictor, deepcopy(predictor.state_dict())))
        init(self, hvae, predictor, *rest)

    monkeypatch.setattr(CounterfactualFinetuning, "__init__", remembering)
    return used


def test_finetuning_makes_interventions_arrive(phantom, trained, predictors, tmp_path):
    base, options = trained
    # A constraint that never binds.
    free = QUICK.model_copy(update={"epochs": 3, "slack": 50.0, "learning_rate": 4e-3})
    tuned, history = finetune(phantom, deepcopy(base), options, free, tmp_path)
    assert history["miss"].iloc[-1] < 0.8 * history["miss"].iloc[0]
    assert (history["multiplier"] == 0).all()
    assert len(history) == free.epochs
    assert {"violation", "multiplier", "loss"} <= set(history.columns)
    assert not tuned.hvae.training
    x = to_model(phantom.images[:4])
    parents = tuned.parents.codes(phantom, np.arange(4))
    made = [g.counterfactual(x, parents, do={"scanner": "Cirrus"}) for g in (base, tuned)]
    assert not torch.equal(*made)
    # Else the predictor, with its batch statistics, would learn to be content.
    ((predictor, before),) = predictors
    assert all(torch.equal(w.cpu(), before[name]) for name, w in predictor.state_dict().items())


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 1},
        {"learning_rate": 1e-4},
        {"multiplier_rate": 50.0},
        {"damping": 0.0},
        {"slack": 5.0},
        {"soft_labels": False},
        {"predictor": ClassifierOptions(epochs=1, batch_size=60, seed=2)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_option_reaches_the_finetuning(phantom, trained, plain, tmp_path, change):
    tuned = SHORT.model_copy(update=change)
    assert not torch.equal(weights(phantom, trained, tuned, tmp_path), plain)


@pytest.fixture(scope="module")
def plain(phantom, trained, tmp_path_factory):
    return weights(phantom, trained, SHORT, tmp_path_factory.mktemp("plain"))


def weights(phantom, trained, tuning, folder):
    tuned, _ = finetune(phantom, deepcopy(trained[0]), FEW_STEPS, tuning, folder)
    return torch.cat([p.flatten() for p in tuned.hvae.parameters()])


class Blind(torch.nn.Module):
    """A predictor that sees nothing, so that only the constraint is left."""

    def forward(self, x):
        return {"scanner": 0 * x.mean(dim=(1, 2, 3))[:, None].expand(-1, 3)}


@pytest.fixture
def lagrangian(phantom, trained, monkeypatch):
    base, options = trained
    targets = scanner_target(phantom)
    batches = training_batches(
        phantom,
        phantom.rows("train", "pretraining"),
        ParentsAndTargets(base.parents, targets),
        options,
    )
    x, codes = next(iter(batches.epoch(0)))

    def loss(constraint, multiplier=0.0, tuning=QUICK):
        hvae = deepcopy(base).hvae.train().requires_grad_(True)
        module = CounterfactualFinetuning(hvae, Blind(), options, tuning, constraint, 1)
        module.multiplier.fill_(multiplier)
        monkeypatch.setattr(module, "log", lambda *_, **__: None)
        torch.manual_seed(0)
        value = module.training_step((x, codes), 0)
        torch.manual_seed(0)
        elbo = hvae.elbo(x, codes)
        return float(value), float(elbo.nll + options.beta * elbo.kl), float(module.multiplier)

    return loss


def test_the_multiplier_rises_while_the_constraint_is_violated_and_not_below_zero(lagrangian):
    plain = QUICK.model_copy(update={"damping": 0.0})
    chance = float(np.log(3))
    value, energy, multiplier = lagrangian(-1.0, 0.5, plain)
    assert value == pytest.approx(chance + 0.5 * (energy + 1), rel=1e-4)
    assert multiplier == pytest.approx(0.5 + energy + 1, rel=1e-4)
    value, _, multiplier = lagrangian(1e3, 0.5, plain)  # by far fulfilled
    assert multiplier == 0
    value, energy, _ = lagrangian(energy - 0.1, 0.0)
    assert value == pytest.approx(chance + QUICK.damping * 0.1**2, rel=1e-2)


def test_the_free_energy_is_that_of_training(phantom, trained):
    base, options = trained
    batches = training_batches(phantom, phantom.rows("train", "pretraining"), base.parents, options)
    found = free_energy(base.hvae, batches.epoch(0), options)
    assert found == free_energy(base.hvae, batches.epoch(0), options)
    assert not base.hvae.training
    x, codes = next(iter(batches.epoch(0)))
    elbo = base.hvae.train().elbo(x, codes)
    base.hvae.eval()
    assert found == pytest.approx(float(elbo.nll + elbo.kl), rel=0.3)


def test_images_take_turns_in_what_is_intervened_on():
    """Also the sex is asked for: half of the images get another scanner, half another sex."""
    parents, asked = {"scanner": 3, "sex": 2}, {}
    hvae = SimpleNamespace(
        parents=parents,
        abduct=lambda *_: None,
        predict=lambda noise, codes: asked.update(codes) or torch.zeros(8, 1, 4, 4),
    )
    module = SimpleNamespace(
        hvae=hvae,
        tuning=QUICK.model_copy(update={"variables": ("scanner", "sex", "unknown")}),
        predictor=lambda x: {name: torch.zeros(len(x), k) for name, k in parents.items()},
    )
    codes = {name: torch.full((8,), 9) for name in parents}  # no value of theirs
    CounterfactualFinetuning._miss(module, torch.zeros(8, 1, 4, 4), codes)
    assert (asked["scanner"] == 9).tolist() == [False, True] * 4
    assert (asked["sex"] == 9).tolist() == [True, False] * 4
