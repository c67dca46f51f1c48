import dataclasses
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import torch

from ccl import trainer
from ccl.errors import TrainingError
from ccl.generator.batches import WeightedBatches
from ccl.generator.generator import save, to_model
from ccl.generator.hvae import HVAE
from ccl.generator.options import GeneratorOptions
from ccl.generator.tabular import GumbelMax
from ccl.generator.training import HVAETraining, training_batches
from companion.cohorts.causes import image_parents
from companion.experiments import generator as generators
from companion.experiments.config import experiment
from companion.experiments.generator import train
from tests.fitting import fit
from tests.generator.conftest import FLAT


def weights(generator):
    return torch.cat([w.flatten().float() for w in generator.hvae.state_dict().values()])


@pytest.fixture(scope="module")
def plain(phantom):
    """Weights after three steps."""
    return weights(train(phantom, FEW_STEPS, None)[0])


FEW_STEPS = GeneratorOptions(
    hvae=FLAT, epochs=1, max_steps=3, batch_size=20, warmup_steps=1, ema_decay=0.9
)


def test_the_same_options_give_the_same_generator(phantom, plain, options):
    assert torch.equal(weights(train(phantom, FEW_STEPS, None)[0]), plain)
    _, history = train(phantom, options, None)
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert {"nll", "kl", "kl_8", "kl_4", "kl_1", "skipped_share"} <= set(history.columns)


CHANGES = (
    *{"learning_rate": 3e-4, "betas": (0.5, 0.9), "weight_decay": 0.5, "warmup_steps": 2}.items(),
    *{"beta": 30.0, "ema_decay": 0.1, "gradient_clip": 0.01, "rare_scanner_weight": 0.0}.items(),
    *{"decline": "none", "bfloat16": True, "seed": 1, "batch_size": 30}.items(),
    *{"epochs": 2, "max_steps": 2}.items(),
)


@pytest.mark.parametrize(("option", "value"), CHANGES)
@pytest.mark.usefixtures("half_precision")
def test_every_option_reaches_the_training(phantom, plain, option, value):
    other, _ = train(phantom, FEW_STEPS.model_copy(update={option: value}), None)
    assert not torch.equal(weights(other), plain)


def test_graph_and_coupling_reach_the_generator(phantom, options):
    graph = {"image": ("scanner", "label"), "label": ("sex",), "scanner": (), "sex": ()}
    changed = {"graph": graph, "coupling": "gumbel-max", "epochs": 1, "max_steps": 1}
    made, _ = train(phantom, options.model_copy(update=changed), None)
    assert made.parents.graph == graph
    assert type(made.parents.tables["label"]) is GumbelMax


def test_stopping_early_keeps_the_schedule_of_the_whole(phantom, plain):
    longer = FEW_STEPS.model_copy(update={"epochs": 3})
    stopped, history = train(phantom, longer, None, stop_after=1)
    assert len(history) == 1
    assert not torch.equal(weights(stopped), plain)  # the whole decays to 0 by then


def test_rare_scanners_are_drawn_as_often(phantom):
    rows = phantom.rows("train", "pretraining")
    for alpha in (1.0, 0.5, 0.0):  # between the two, shares are mixed
        batches = WeightedBatches(phantom, image_parents(phantom), rows, 20, alpha, seed=0)
        epochs = [parents["scanner"] for i in range(12) for _, parents in batches.epoch(i)]
        drawn = torch.cat(epochs)
        expected = alpha / 3 + (1 - alpha) * np.array([0.6, 0.3, 0.1])
        np.testing.assert_allclose(torch.bincount(drawn) / len(drawn), expected, atol=0.012)


def test_the_papers_first_step_on_dark_images_is_taken_and_with_its_stated_scale_skipped(
    phantom, tmp_path
):
    """A mammogram is mostly black; of the profile, only the numbers of stages and blocks shrink."""
    dark = np.zeros_like(phantom.images)
    dark[:, 8:24, :10] = 150
    paper = experiment("paper", "embed").generator
    stages = [
        stage.model_copy(update={"resolution": size, "encoder_blocks": 1, "decoder_blocks": 1})
        for stage, size in zip(paper.hvae.stages, (32, 16, 8), strict=False)
    ]
    one_step = {"epochs": 1, "max_steps": 1, "batch_size": 4}

    def skipped(**change):
        hvae = paper.hvae.model_copy(update={"stages": tuple(stages), **change})
        options = paper.model_copy(update={"hvae": hvae, **one_step})
        cohort = dataclasses.replace(phantom, images=dark)
        folder = tmp_path / f"{hvae.pixel_scale}"
        folder.mkdir()
        return train(cohort, options, folder)[1]["skipped_share"].item()

    assert skipped() == 0
    with pytest.raises(TrainingError, match="gradient_skip=25000"):
        skipped(pixel_scale=0.01)


@pytest.mark.parametrize("clip", [1e9, 1.0])
@pytest.mark.parametrize(("limit", "factor"), [(0.0, 1.0), (1e9, float("nan"))])
def test_a_skipped_step_leaves_weights_and_optimiser_as_they_are(
    phantom, options, clip, limit, factor
):
    parents = image_parents(phantom)
    changed = options.model_copy(update={"gradient_clip": clip, "warmup_steps": 0})
    module = HVAETraining(HVAE(options.hvae, parents.sizes, 32, 32), changed, 10)
    module.log_dict = lambda *_, **__: None
    optimizer = module.configure_optimizers()["optimizer"]
    x, codes = next(
        training_batches(phantom, phantom.rows("train", "pretraining"), parents, changed).epoch(0)
    )

    def step(limit=1e9, factor=1.0):
        module.options = changed.model_copy(update={"gradient_skip": limit})
        optimizer.zero_grad()
        (factor * module.hvae.elbo(x, codes).nll).backward()
        module.configure_gradient_clipping(optimizer)
        optimizer.step()
        return deepcopy((module.hvae.state_dict(), optimizer.state_dict()["state"]))

    step()
    before, skipped, after = step(), step(limit, factor), step()
    assert int(module.skipped) == 1
    assert module.steps == 4
    torch.testing.assert_close(skipped, before, rtol=0, atol=0)
    assert not torch.equal(skipped[0]["stem.weight"], after[0]["stem.weight"])
    assert after[1][0]["step"] == 3


def test_the_average_is_of_every_step_and_goes_on_after_a_kill(phantom, options, tmp_path):
    """The first weights are taken, then a <- d a + (1 - d) w with d = (1 + t) / (10 + t)."""
    seen = []

    class Watched(HVAETraining):
        def on_train_batch_end(self, *given):
            super().on_train_batch_end(*given)
            seen.append((float(self.hvae.out.bias[0]), float(self.average.out.bias[0])))

    parents = image_parents(phantom)
    changed = options.model_copy(update={"max_steps": 4, "warmup_steps": 0, "learning_rate": 0.01})
    batches = training_batches(phantom, phantom.rows("train", "pretraining"), parents, changed)
    for epochs in (1, 2):  # the second goes on from the checkpoint of the first
        module = Watched(HVAE(options.hvae, parents.sizes, 32, 32), changed, 8)
        fit(module, batches, epochs=epochs, folder=tmp_path, seed=0)
    assert len(seen) == 8
    expected = seen[0][0]
    for done, (weight, average) in enumerate(seen):
        decay = min(options.ema_decay, (1 + done) / (10 + done)) if done else 0.0
        expected = decay * expected + (1 - decay) * weight
        assert average == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_a_loss_that_is_no_number_stops_within_an_epoch_and_keeps_the_last_checkpoint(
    phantom, options, tmp_path, monkeypatch
):
    """At the latest where losses are read, and by the step that it came in."""
    honest, tried = HVAETraining.training_step, []

    def broken(self, batch, batch_idx):
        tried.append((self.current_epoch, batch_idx))
        loss = honest(self, batch, batch_idx)
        return loss * float("nan") if tried[-1] >= (1, 2) else loss

    monkeypatch.setattr(HVAETraining, "training_step", broken)
    monkeypatch.setattr(trainer, "CHECK_EVERY", 4)
    with pytest.raises(TrainingError, match="the loss is nan in epoch 1, step 9;") as stopped:
        train(phantom, options, tmp_path)
    assert tried[-1] == (1, 3)
    assert "last good checkpoint" in str(stopped.value)
    kept = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(torch.isfinite(w).all() for w in kept["state_dict"].values())
    assert len(pd.read_csv(tmp_path / "history.csv")) == 1  # of the epoch before


def test_saved_and_loaded_generators_agree(phantom, generator, tmp_path):
    save(generator, tmp_path)
    loaded = generators.load(tmp_path)
    rows = phantom.rows("test", "pretraining")[:5]
    x = to_model(phantom.images[rows])
    parents = generator.parents.codes(phantom, rows)
    for do in ({"scanner": "Cirrus"}, {"scanner": "Aurora", "sex": "F"}):
        expected = generator.counterfactual(x, parents, do=do)
        assert torch.equal(loaded.counterfactual(x, parents, do=do), expected)
    with pytest.raises(ValueError, match=r"do\(scanner=Nova\)"):
        loaded.counterfactual(x, parents, do={"scanner": "Nova"})
    with pytest.raises(FileNotFoundError, match="holds no trained generator"):
        generators.load(tmp_path / "nowhere")
