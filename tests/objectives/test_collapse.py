import math
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from ccl.encoders.encoder import build_encoder
from ccl.errors import TrainingError
from ccl.objectives.batches import PairBatches
from ccl.objectives.collapse import distillation_statistics, stop_if_collapsed
from ccl.objectives.dino import Dino, DinoOptions
from ccl.objectives.dino_options import CollapseOptions
from ccl.pairs import Pairs
from companion.evaluation.collapse import verdicts
from companion.experiments import config
from tests.fitting import fit

HEALTHY = {"loss_over_chance": 0.9, "embedding_std": 0.8, "prototype_entropy": 0.95}


def judge(epoch=5, epochs=6, options=None, **changed):
    metrics = {name: torch.tensor(value) for name, value in (HEALTHY | changed).items()}
    stop_if_collapsed(metrics, epoch, epochs, options or CollapseOptions())


@pytest.mark.parametrize(
    ("sign", "limit", "message"),
    [
        ({"loss_over_chance": 0.995}, {"largest_loss": 1.0}, "lower teacher_temperature"),
        ({"embedding_std": 0.05}, {"least_spread": 0.01}, "raise koleo_weight"),
        ({"prototype_entropy": 0.05}, {"least_prototype_entropy": 0.01}, "use centering"),
    ],
    ids=str,
)
def test_each_sign_stops_a_run_names_a_remedy_and_has_its_option(sign, limit, message):
    with pytest.raises(TrainingError, match=f"collapsed in epoch 5.*{message}"):
        judge(**sign)
    judge(options=CollapseOptions(**limit), **sign)


@pytest.mark.parametrize(
    ("epochs", "grace", "first"), [(6, 0.5, 3), (7, 0.5, 3), (10, 0.2, 2), (2, 0.9, 1), (1, 0.5, 0)]
)
def test_grace_is_a_share_of_the_epochs_and_never_all(epochs, grace, first):
    for epoch in range(epochs):
        judged = pytest.raises(TrainingError) if epoch >= first else nullcontext()
        with judged:
            judge(epoch, epochs, CollapseOptions(grace=grace), embedding_std=0.0)


@pytest.mark.parametrize("profile", ["paper", "paper-dry-run", "study", "tiny"])
def test_the_guard_stops_a_collapse_in_every_profile_with_dino(profile):
    """In that of its first cohort that is pretrained with DINO."""
    cohorts = yaml.safe_load((config.ROOT / "configs" / f"{profile}.yaml").read_text())["cohorts"]
    made = (config.experiment(profile, cohort).pretraining for cohort in cohorts)
    options = next(each.dino for each in made if each.strategies.get("dino"))
    for sign in ("embedding_std", "prototype_entropy"):
        with pytest.raises(TrainingError, match="collapsed"):
            judge(options.epochs - 1, options.epochs, options.collapse, **{sign: 0.0})


def test_every_run_has_a_verdict_on_its_last_epoch():
    ends = {"standard": {}, "plus": {"embedding_std": 0.01}, "counterfactual": {}}
    ends["counterfactual"] = {"loss_over_chance": 0.993}
    rows = [
        {"strategy": strategy, "seed": seed, "epoch": epoch} | HEALTHY | (end if epoch else {})
        for strategy, end in ends.items()
        for seed in (0, 1)
        for epoch in (1, 0)
    ]
    found = verdicts(pd.DataFrame(rows))
    assert found["epoch"].tolist() == [1] * 6
    assert found["verdict"].tolist()[::2] == ["healthy", "one point", "near ln K"]
    assert found["verdict"].tolist()[1::2] == ["healthy", "one point", "near ln K"]


def test_statistics_are_entropies_of_the_targets():
    targets = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.25, 0.25, 0.5]], dtype=torch.float64)
    loss = torch.tensor(2.0)
    found = distillation_statistics(targets, loss)
    rows = [math.log(2), 1.5 * math.log(2)]
    mean = -sum(p * math.log(p) for p in (0.25, 0.375, 0.125, 0.25))
    assert found["teacher_entropy"].item() == pytest.approx(np.mean(rows) / math.log(4))
    assert found["prototype_entropy"].item() == pytest.approx(mean / math.log(4))
    assert found["kl"].item() == pytest.approx(2 - np.mean(rows))
    assert found["loss_over_chance"].item() == pytest.approx(2 / math.log(4))


def trained(folder, **changed):
    """A short run on 32 images that look very different from one another."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(32, 1, 4, 4, generator=generator)
    images = torch.nn.functional.interpolate(coarse, (32, 32))[:, 0]
    pairs = Pairs("standard", (255 * images).to(torch.uint8).numpy())
    gentle = {"crop_scale": (0.7, 1.0), "horizontal_flip_probability": 0, "brightness": 0.1}
    options = DinoOptions.model_validate(
        {
            "encoder": {
                "architecture": "vit-slim",
                "vit": {"patch": 8, "width": 24, "depth": 1, "heads": 2},
            },
            "crops": {
                "global_crop": gentle,
                "local_crop": gentle | {"crop_scale": (0.4, 0.7)},
                "local_size": (16, 16),
                "local_crops": 2,
                "solarize_probability": (0, 0, 0),
            },
            "head": {"prototypes": 32, "hidden": 32, "bottleneck": 16},
            "epochs": 6,
            "batch_size": 16,
            "learning_rate": 3e-3,
            "warmup_epochs": 1,
            "layer_decay": 1,
            "patch_factor": 1,
            "teacher_momentum": (0.95, 1.0),
            "teacher_warmup_epochs": 0,
            "teacher_temperature": (0.04, 0.04),
        }
        | changed
    )
    batches = PairBatches(pairs, np.tile(np.arange(32), 4), batch_size=16, seed=0)
    torch.manual_seed(0)
    encoder = build_encoder(options.encoder, (32, 32))
    module = Dino(encoder, options, seed=0, steps_per_epoch=len(batches))
    return fit(module, batches, epochs=options.epochs, folder=folder, seed=0)


def test_a_healthy_run_is_not_stopped_and_learns(tmp_path):
    history = trained(tmp_path)
    assert len(history) == 6
    last = history.iloc[-1]
    assert last["loss_over_chance"] < 0.97
    different = 2 * (1 - last["mean_cosine"])  # squared distance of different images
    assert last["alignment"] < 0.7 * different
    assert history.notna().all(axis=None)


def test_a_collapsed_run_is_stopped_and_keeps_its_history(tmp_path):
    """The teacher is the student of the step before, and nothing centres its targets."""
    own = {"centering": "none", "koleo_weight": 0, "collapse": {"grace": 0.2}}
    with pytest.raises(TrainingError, match="collapsed in epoch") as stopped:
        trained(tmp_path, teacher_momentum=(0, 0), **own)
    assert (tmp_path / "checkpoints" / "last.ckpt").exists()
    assert str(tmp_path / "history.csv") in str(stopped.value)
    assert pd.read_csv(tmp_path / "history.csv")["epoch"].tolist() == [0, 1]
