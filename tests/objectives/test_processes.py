"""Two processes that pretrain as one: what they learn is what one would."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from lightning import LightningModule
from torch import Tensor

from ccl import distributed
from ccl.batch_norm import SyncBatchNorms
from ccl.collectives import all_gather, all_reduce_mean
from ccl.encoders.encoder import EncoderOptions, build_encoder
from ccl.losses import nt_xent
from ccl.objectives.batches import PairBatches
from ccl.objectives.dino import Dino
from ccl.objectives.dino_head import Targets
from ccl.objectives.dino_network import layer_groups
from ccl.objectives.dino_options import Centering, DinoOptions
from ccl.objectives.simclr import SimCLR, SimCLROptions
from ccl.pairs import Pairs
from ccl.seeding import step_generator
from ccl.views.batch import Batch, as_image
from ccl.views.crops import Crops
from tests.fitting import fit
from tests.objectives.test_dino import SMALL
from tests.pair import Pair

States = dict[str, Tensor]


class PlainSimCLR(SimCLR):
    """Without augmentation, whose random numbers are each process's own.

    And by gradient descent: Adam makes whole steps of rounding errors where a gradient is 0.
    """

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.002)

    def views(self, batch: Batch, step: int) -> Tensor:
        return as_image(torch.cat([batch["a"], batch["b"]]))


class PlainDino(Dino):
    """Without random crops and masks, and by gradient descent."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(layer_groups(self.student, 1.0, 1.0), 0.05)

    def crops(self, batch: Batch, step: int) -> Crops:
        both = as_image(torch.cat([batch["a"], batch["b"]]))
        return Crops(both, both[..., :16, :16])

    def masks(self, global_crops: Tensor, step: int) -> Tensor:
        return (torch.arange(16) % 2 == 0).expand(len(global_crops), 16)


def simclr() -> SimCLR:
    torch.manual_seed(0)
    options = SimCLROptions(
        projector_hidden=16, projector_out=8, batch_size=8, warmup_epochs=0, precision="float32"
    )
    encoder = build_encoder(EncoderOptions(), (32, 32))
    return PlainSimCLR(encoder, options, seed=0, steps_per_epoch=3)


def dino(centering: str) -> Dino:
    torch.manual_seed(0)
    options = DinoOptions.model_validate(
        SMALL
        | {"crops": {"local_crops": 2, "local_size": (16, 16)}, "centering": centering}
        | {"centre_momentum": 0.5, "freeze_last_layer_epochs": 0, "warmup_epochs": 0}
        | {"learning_rate": 0.05, "teacher_momentum": (0.5, 0.5)}
        | {"collapse": {"largest_loss": 9, "least_spread": 0, "least_prototype_entropy": 0}}
    )
    encoder = build_encoder(options.encoder, (32, 32))
    return PlainDino(encoder, options, seed=0, steps_per_epoch=3)


def batches() -> PairBatches:
    images = np.random.default_rng(0).integers(0, 256, (24, 32, 32)).astype(np.uint8)
    # Both halves of a batch are to differ, also in their brightness.
    images //= np.arange(1, 25, dtype=np.uint8)[:, None, None] % 5 + 1
    return PairBatches(Pairs("standard", images), np.arange(24), batch_size=8, seed=0)


def train(
    made: LightningModule,
    folder: Path,
    epochs: int = 2,
    on_epoch_end: Callable[[int], dict[str, float]] | None = None,
) -> tuple[States, pd.DataFrame]:
    history = fit(made, batches(), epochs=epochs, folder=folder, seed=0, on_epoch_end=on_epoch_end)
    return {k: v.detach().clone() for k, v in made.state_dict().items()}, history


ALONE = {
    "negatives": {"ccl.objectives.simclr.all_gather": lambda rows: rows},
    "statistics": {"ccl.trainer.SyncBatchNorms.apply": lambda self, model: model},
    "targets": {
        "ccl.objectives.dino_head.all_reduce_sum": lambda values: values,
        "ccl.objectives.dino_head.all_reduce_max": lambda values: values,
    },
}


def trained(folder: Path, centering: str = "", alone: str = "") -> tuple[States, pd.DataFrame]:
    """SimCLR, or DINO with a centring; of what is `alone`, each process sees its own only."""
    with ExitStack() as controls:
        for name, replacement in ALONE.get(alone, {}).items():
            controls.enter_context(mock.patch(name, replacement))
        return train(dino(centering), folder) if centering else train(simclr(), folder, 1)


def distance(found: States, expected: States, start: States) -> float:
    """How far two trainings end from each other, as a share of the way that one has gone."""

    def joined(states: States) -> Tensor:
        kept = [name for name in sorted(expected) if "running" not in name]
        return torch.cat(
            [states[name].flatten() for name in kept if states[name].is_floating_point()]
        )

    way = joined(expected) - joined(start)
    return float((joined(found) - joined(expected)).norm() / way.norm())


def gradients_of_a_step(together: bool = True) -> States:
    """In float64; averaged over the processes, as distributed training does."""
    module = simclr().double().train()
    views = module.views(next(batches().epoch(0, distributed.shard)), 0).double()
    if distributed.world_size() > 1 and together:
        SyncBatchNorms().apply(module)
    embedded = module.projector(module.encoder(views)).chunk(2)
    z_a, z_b = (all_gather(z) if together else z for z in embedded)
    nt_xent(z_a, z_b, temperature=0.1).backward()
    return {name: all_reduce_mean(p.grad) for name, p in module.named_parameters()}


def test_gradients_through_encoder_and_loss_are_those_of_one(pair: Pair) -> None:
    expected = gradients_of_a_step()
    for found in pair(gradients_of_a_step):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)
    start = {name: torch.zeros_like(gradient) for name, gradient in expected.items()}
    assert distance(pair(gradients_of_a_step, False)[0], expected, start) > 0.1


@pytest.mark.parametrize(
    ("centering", "controls"),
    [("", ("negatives", "statistics")), ("sinkhorn", ("targets",)), ("softmax", ("targets",))],
    ids=["simclr", "dino-sinkhorn", "dino-softmax"],
)
def test_a_training_of_two_processes_is_that_of_one(
    pair: Pair, tmp_path: Path, centering: str, controls: tuple[str, ...]
) -> None:
    expected, history = trained(tmp_path / "one", centering)
    start = (dino(centering) if centering else simclr()).state_dict()
    for found, other in pair(trained, tmp_path / "two", centering):
        assert distance(found, expected, start) < 1e-3
        same = history.columns.drop("seconds")
        pd.testing.assert_frame_equal(other[same], history[same], rtol=1e-3)
    for control in controls:
        found, _ = pair(trained, tmp_path / control, centering, control)[0]
        assert distance(found, expected, start) > 0.1


def targets(centering: Centering, shares: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Targets of this process's share of 6 logits, and the centre afterwards."""
    logits = torch.randn(6, 5, generator=torch.Generator())
    made = Targets(centering, 5, momentum=0.5)
    mine = logits.split(shares)[distributed.rank()]
    return made(mine, 0.1), made.centre


@pytest.mark.parametrize("centering", ["sinkhorn", "softmax"])
@pytest.mark.parametrize("shares", [(3, 3), (2, 4), (6, 0)])
def test_targets_are_shared_out_over_the_logits_of_all(
    pair: Pair, centering: Centering, shares: tuple[int, int]
) -> None:
    """Also where processes have other numbers of masked patches, or none."""
    expected, centre = targets(centering, (6,))
    found = pair(targets, centering, shares)
    close = {"atol": 1e-6, "rtol": 1e-5}
    torch.testing.assert_close(torch.cat([part for part, _ in found]), expected, **close)
    for _, moved in found:
        torch.testing.assert_close(moved, centre, **close)


def stop_before_the_last(folder: Path) -> None:
    def stop(epoch: int) -> dict[str, float]:
        if epoch == 2:
            raise RuntimeError("killed")
        return {}

    with pytest.raises(RuntimeError, match="killed"):
        train(simclr(), folder, 3, stop)


def go_on(folder: Path) -> tuple[States, pd.DataFrame]:
    return train(simclr(), folder, 3)


def test_another_number_of_processes_goes_on_with_a_killed_training(
    pair: Pair, tmp_path: Path
) -> None:
    expected, _ = go_on(tmp_path / "whole")
    start = simclr().state_dict()
    by_one, by_two, torn = (tmp_path / name for name in ("by one", "by two", "torn"))
    pair(stop_before_the_last, by_two)
    kept = sorted(file.name for file in (by_two / "checkpoints").iterdir())
    assert kept == ["last.ckpt", "previous.ckpt"]
    shutil.copytree(by_two, torn)
    last = torn / "checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    stop_before_the_last(by_one)
    for found, history in (go_on(by_two), *pair(go_on, by_one), *pair(go_on, torn)):
        assert history["epoch"].tolist() == [0, 1, 2]
        assert distance(found, expected, start) < 1e-3
    assert last.with_name("damaged.ckpt").exists()


def draws() -> list[float]:
    return [torch.rand(1, generator=step_generator(0, step, "x")).item() for step in (0, 0, 1)]


def test_each_process_draws_its_own_random_numbers_again_and_again(pair: Pair) -> None:
    first, second = pair(draws)
    assert first == draws()  # as one alone
    assert first[0] == first[1]
    assert second[0] == second[1]
    assert len({*first, *second}) == 4


def share_unevenly(folder: Path) -> None:
    images = np.zeros((9, 32, 32), dtype=np.uint8)
    odd = PairBatches(Pairs("standard", images), np.arange(9), batch_size=9, seed=0)
    with pytest.raises(ValueError, match=r"batch_size = 9 cannot be shared evenly among 2"):
        fit(simclr(), odd, epochs=1, folder=folder, seed=0)


def test_a_batch_that_cannot_be_shared_evenly_is_refused(pair: Pair, tmp_path: Path) -> None:
    pair(share_unevenly, tmp_path)
