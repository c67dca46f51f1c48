"""Finetuning makes interventions arrive, within its constraint, and leaves the predictor alone."""

from copy import deepcopy
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ccl.generator import finetuning
from ccl.generator.classifier import AGE, ClassifierOptions
from ccl.generator.finetuning import (
    CounterfactualFinetuning,
    TuningOptions,
    free_energy,
    soft_loss,
)
from ccl.generator.generator import to_model
from ccl.generator.training import GeneratorOptions, training_batches
from companion.experiments.generator import finetune, train
from companion.quality.classifier import (
    Targets,
    attribute_targets,
    scanner_target,
    train_classifier,
)
from tests.generator.conftest import SMALL

QUICK = TuningOptions(variables=("scanner",), epochs=3, learning_rate=2e-3)
# So fast that the constraint is violated.
SHORT = QUICK.model_copy(update={"epochs": 1, "learning_rate": 5e-3})
BASE = GeneratorOptions(hvae=SMALL, epochs=3, batch_size=20, warmup_steps=1, ema_decay=0.5)
FEW_STEPS = BASE.model_copy(update={"max_steps": 2})


@pytest.fixture(scope="module")
def trained(phantom, tmp_path_factory):
    """A barely trained generator."""
    return train(phantom, BASE, tmp_path_factory.mktemp("base"))[0]


@pytest.fixture(scope="module")
def predictor(phantom, tmp_path_factory):
    """One for all tests."""
    targets = Targets({**scanner_target(phantom).sizes, **attribute_targets(phantom).sizes})
    options = ClassifierOptions(epochs=6, batch_size=20, seed=1)
    return train_classifier(phantom, targets, options, tmp_path_factory.mktemp("predictor"))


@pytest.fixture(scope="module")
def tuned(phantom, trained, predictor, tmp_path_factory):
    """Finetunes the generator; what options the predictor was asked for with."""

    def tuned(options, tuning):
        folder = tmp_path_factory.mktemp("tuned")
        with mock.patch("companion.quality.classifier.train_classifier") as training:
            training.return_value = predictor
            made, history = finetune(phantom, deepcopy(trained), options, tuning, folder)
        return made, history, training.call_args.args[2]

    return tuned


def test_soft_labels_ask_for_what_was_seen_before():
    before = torch.tensor([[0.3, -1.0], [2.0, 0.1]])
    assert soft_loss("sex", before, before) == pytest.approx(0, abs=1e-6)
    surer = 5 * before
    p = F.softmax(before, dim=1)
    expected = (p * (p.log() - F.log_softmax(surer, dim=1))).sum(dim=1).mean()
    assert soft_loss("sex", surer, before) == pytest.approx(float(expected), rel=1e-5)
    assert soft_loss(AGE, before[:, :1] + 0.2, before[:, :1]) == pytest.approx(0.02, rel=1e-4)


def test_finetuning_makes_interventions_arrive(phantom, trained, predictor, tuned):
    before = deepcopy(predictor.state_dict())
    # A constraint that never binds.
    free = QUICK.model_copy(update={"slack": 50.0, "learning_rate": 4e-3})
    made, history, _ = tuned(BASE, free)
    assert history["miss"].iloc[-1] < 0.8 * history["miss"].iloc[0]
    assert (history["multiplier"] == 0).all()
    assert len(history) == free.epochs
    assert {"violation", "multiplier", "loss"} <= set(history.columns)
    assert not made.hvae.training
    x = to_model(phantom.images[:4])
    parents = made.parents.codes(phantom, np.arange(4))
    images = [g.counterfactual(x, parents, do={"scanner": "Cirrus"}) for g in (trained, made)]
    assert not torch.equal(*images)
    # Else the predictor, with its batch statistics, would learn to be content.
    assert all(torch.equal(w.cpu(), before[name]) for name, w in predictor.state_dict().items())


def weights(found):
    return torch.cat([p.flatten() for p in found[0].hvae.parameters()])


@pytest.fixture(scope="module")
def plain(tuned):
    return weights(tuned(FEW_STEPS, SHORT))


CHANGES = {"epochs": 2, "learning_rate": 1e-4, "damping": 0.0, "slack": 5.0}


@pytest.mark.parametrize(("option", "value"), CHANGES.items())
def test_every_option_reaches_the_finetuning(tuned, plain, option, value):
    changed = tuned(FEW_STEPS, SHORT.model_copy(update={option: value}))
    assert not torch.equal(weights(changed), plain)


def test_the_predictor_s_options_reach_its_training(tuned):
    asked = ClassifierOptions(epochs=7)
    assert tuned(FEW_STEPS, SHORT.model_copy(update={"predictor": asked}))[2] == asked


class Blind(torch.nn.Module):
    """A predictor that sees nothing, so that only the constraint is left."""

    def forward(self, x):
        return {"scanner": 0 * x.mean(dim=(1, 2, 3))[:, None].expand(-1, 3)}


@pytest.fixture
def lagrangian(phantom, trained, monkeypatch):
    rows = phantom.rows("train", "pretraining")
    batches = training_batches(phantom, rows, trained.parents, BASE)
    x, codes = next(iter(batches.epoch(0)))

    def loss(constraint, multiplier=0.0, tuning=QUICK):
        hvae = deepcopy(trained).hvae.train().requires_grad_(True)
        module = CounterfactualFinetuning(hvae, Blind(), BASE, tuning, constraint, 1)
        module.multiplier.fill_(multiplier)
        monkeypatch.setattr(module, "log", lambda *_, **__: None)
        torch.manual_seed(0)
        value = module.training_step((x, codes), 0)
        torch.manual_seed(0)
        elbo = hvae.elbo(x, codes)
        return float(value), float(elbo.nll + BASE.beta * elbo.kl), float(module.multiplier)

    return loss


def test_the_multiplier_rises_while_the_constraint_is_violated_and_not_below_zero(lagrangian):
    plain = QUICK.model_copy(update={"damping": 0.0, "multiplier_rate": 3.0})
    chance = float(np.log(3))
    value, energy, multiplier = lagrangian(-1.0, 0.5, plain)
    assert value == pytest.approx(chance + 0.5 * (energy + 1), rel=1e-4)
    assert multiplier == pytest.approx(0.5 + 3 * (energy + 1), rel=1e-4)
    value, _, multiplier = lagrangian(1e3, 0.5, plain)  # by far fulfilled
    assert multiplier == 0
    value, energy, _ = lagrangian(energy - 0.1, 0.0)
    assert value == pytest.approx(chance + QUICK.damping * 0.1**2, rel=1e-2)


def test_the_free_energy_is_that_of_training(phantom, trained):
    rows, hvae = phantom.rows("train", "pretraining"), trained.hvae
    batches = training_batches(phantom, rows, trained.parents, BASE)
    found = free_energy(hvae, batches.epoch(0), BASE)
    assert found == free_energy(hvae, batches.epoch(0), BASE)
    assert not hvae.training
    elbo = hvae.train().elbo(*next(iter(batches.epoch(0))))
    hvae.eval()
    assert found == pytest.approx(float(elbo.nll + elbo.kl), rel=0.3)


def asked(images):
    """What a batch of so many images is asked for, of which no code was a value, and the loss."""
    parents, asked = {"scanner": 3, "sex": 2}, {}
    hvae = SimpleNamespace(
        parents=parents,
        abduct=lambda *_: None,
        predict=lambda noise, codes: asked.update(codes) or torch.zeros(images, 1, 4, 4),
    )
    module = SimpleNamespace(
        hvae=hvae,
        tuning=QUICK.model_copy(update={"variables": ("scanner", "sex", "unknown")}),
        predictor=lambda x: {name: torch.zeros(len(x), k) for name, k in parents.items()},
    )
    codes = {name: torch.full((images,), 9) for name in parents}
    loss = CounterfactualFinetuning._miss(module, torch.zeros(images, 1, 4, 4), codes)
    return {name: (code == 9).tolist() for name, code in asked.items()}, float(loss)


def test_images_take_turns_in_what_is_intervened_on():
    """Also the sex is asked for: half of the images get another scanner, half another sex."""
    kept, loss = asked(8)
    assert kept == {"scanner": [False, True] * 4, "sex": [True, False] * 4}
    assert loss == pytest.approx(np.log(3) / 2 + np.log(2) / 2)
    kept, loss = asked(1)  # the other has no turn
    assert kept == {"scanner": [False], "sex": [True]}
    assert loss == pytest.approx(np.log(3))


def test_a_graph_without_the_variables_is_refused(phantom, trained):
    tuning = QUICK.model_copy(update={"variables": ("unknown",)})
    with pytest.raises(ValueError, match=r"\['unknown'\], but .* \['scanner', 'sex'\]"):
        finetuning.finetune(phantom, np.arange(2), trained, Blind(), BASE, tuning)
