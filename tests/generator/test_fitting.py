import numpy as np
import pytest
import torch

from ccl.errors import TrainingError
from ccl.generator import generator as generators
from ccl.generator.batches import WeightedBatches
from ccl.generator.fitting import HVAETraining, train
from ccl.generator.graph import image_parents
from ccl.generator.tabular import COUPLINGS


def weights(generator):
    return torch.cat([w.flatten().float() for w in generator.hvae.state_dict().values()])


def test_the_same_options_give_the_same_generator(phantom, options, tmp_path):
    first, history = train(phantom, options, tmp_path / "a")
    second, _ = train(phantom, options, tmp_path / "b")
    assert torch.equal(weights(first), weights(second))
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert {"nll", "kl", "kl_8", "kl_4", "kl_1", "skipped_share"} <= set(history.columns)


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 3e-4},
        {"betas": (0.5, 0.9)},
        {"weight_decay": 0.5},
        {"warmup_steps": 6},
        {"beta": 30.0},
        {"beta_warmup_epochs": 2.0},
        {"free_bits": 5.0},
        {"ema_decay": 0.2},
        {"gradient_clip": 0.01},
        {"rare_scanner_weight": 0.0},
        {"parents_dropped": 0.5},
        {"bfloat16": True},
        {"seed": 1},
        {"batch_size": 30},
        {"epochs": 1},
        {"max_steps": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_option_reaches_the_training(phantom, options, tmp_path, change):
    base, _ = train(phantom, options, tmp_path / "a")
    other, _ = train(phantom, options.model_copy(update=change), tmp_path / "b")
    assert not torch.equal(weights(base), weights(other))


@pytest.mark.parametrize("coupling", sorted(COUPLINGS))
def test_graph_and_coupling_reach_the_generator(phantom, options, tmp_path, coupling):
    graph = {"image": ("scanner", "label"), "label": ("sex",), "scanner": (), "sex": ()}
    changed = {"graph": graph, "coupling": coupling, "epochs": 1, "max_steps": 1}
    made, _ = train(phantom, options.model_copy(update=changed), tmp_path)
    assert made.parents.graph == graph
    assert type(made.parents.tables["label"]) is COUPLINGS[coupling]


def test_stopping_early_keeps_the_schedule_of_the_whole(phantom, options, tmp_path):
    longer = options.model_copy(update={"epochs": 6})
    stopped, history = train(phantom, longer, tmp_path / "a", stop_after=2)
    whole, _ = train(phantom, options, tmp_path / "b")
    assert len(history) == 2
    assert not torch.equal(weights(stopped), weights(whole))  # the whole decays to 0 by then


def test_rare_scanners_are_drawn_as_often(phantom):
    rows = phantom.rows("train", "pretraining")
    for weight, expected in ((1.0, [1 / 3] * 3), (0.0, [0.6, 0.3, 0.1])):
        batches = WeightedBatches(phantom, image_parents(phantom), rows, 20, weight, seed=0)
        drawn = torch.cat([parents["scanner"] for _, parents in batches.epoch(0)])
        np.testing.assert_allclose(torch.bincount(drawn) / len(drawn), expected, atol=0.03)


def test_a_run_that_skips_most_steps_stops(phantom, options, tmp_path):
    with pytest.raises(TrainingError, match="gradient_skip"):
        train(phantom, options.model_copy(update={"gradient_skip": 0.0}), tmp_path)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(
    phantom, options, tmp_path, monkeypatch
):
    honest = HVAETraining.training_step

    def broken(self, batch, batch_idx):
        loss = honest(self, batch, batch_idx)
        return loss * float("nan") if self.current_epoch == 1 else loss

    monkeypatch.setattr(HVAETraining, "training_step", broken)
    with pytest.raises(TrainingError, match="last good checkpoint"):
        train(phantom, options, tmp_path)
    kept = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(torch.isfinite(w).all() for w in kept["state_dict"].values())


def test_saved_and_loaded_generators_agree(phantom, generator, tmp_path):
    generators.save(generator, tmp_path)
    loaded = generators.load(tmp_path)
    rows = phantom.rows("test", "pretraining")[:5]
    x = generators.to_model(phantom.images[rows])
    parents = generator.parents.codes(phantom, rows)
    for do in ({"scanner": "Cirrus"}, {"scanner": "Aurora", "sex": "F"}):
        expected = generator.counterfactual(x, parents, do=do)
        assert torch.equal(loaded.counterfactual(x, parents, do=do), expected)
    with pytest.raises(ValueError, match=r"do\(scanner=Nova\)"):
        loaded.counterfactual(x, parents, do={"scanner": "Nova"})
    with pytest.raises(FileNotFoundError, match="holds no trained generator"):
        generators.load(tmp_path / "nowhere")


def test_an_epoch_can_be_cut_short(phantom):
    rows = phantom.rows("train", "pretraining")
    parents = image_parents(phantom)
    short = WeightedBatches(phantom, parents, rows, 20, 1.0, seed=0, max_steps=2)
    assert len(short) == 2
    assert [len(x) for x, _ in short.epoch(0)] == [20, 20]
    assert len(WeightedBatches(phantom, parents, rows, 20, 1.0, 0, 999)) == len(rows) // 20
