import pandas as pd
import pytest
import torch
from lightning import LightningModule

from ccl import trainer
from ccl.devices import fastest_device
from ccl.distributed import unsharded
from ccl.seeding import epoch_rng, step_generator
from tests.fitting import fit


class Line(LightningModule):
    """A linear layer on noisy data, with randomness of its own in every step."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(3, 1)

    def training_step(self, batch, batch_idx):
        noise = torch.randn(batch.shape, generator=step_generator(0, self.global_step, "noise"))
        loss = (self.layer(batch + noise + torch.randn_like(batch)) - 1).pow(2).mean()
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.05)


class Untrainable(Line):
    def training_step(self, batch, batch_idx):
        raise AssertionError("there is nothing left to train")


class Batches:
    def __len__(self):
        return 3

    def epoch(self, epoch, shard=unsharded):
        rng = epoch_rng(0, epoch, "test")
        return (torch.from_numpy(rng.normal(size=(8, 3))).float() for _ in range(3))


def test_a_whole_training_is_not_lost_before_its_results_are_saved(tmp_path):
    """Called once more, it gives the same weights and history without training."""
    whole = Line()
    history = fit(whole, Batches(), epochs=3, folder=tmp_path, seed=1)
    again = Untrainable()
    pd.testing.assert_frame_equal(fit(again, Batches(), epochs=3, folder=tmp_path, seed=1), history)
    assert torch.equal(again.layer.weight, whole.layer.weight)


def test_training_runs_where_everything_else_does(tmp_path, monkeypatch):
    """Lightning by itself would take an Apple GPU, which nothing else here does."""
    asked, made = [], trainer.lightning.Trainer

    def watched(*, accelerator, **options):
        asked.append(accelerator)
        return made(accelerator=accelerator, **options)

    monkeypatch.setattr(trainer.lightning, "Trainer", watched)
    fit(Line(), Batches(), epochs=1, folder=tmp_path, seed=1)
    assert asked == [fastest_device().type]


@pytest.mark.parametrize(("device", "precision"), [("cpu", "highest"), ("cuda", "high")])
def test_gpus_train_in_tf32(tmp_path, monkeypatch, device, precision):
    seen = []

    class Asking(Line):
        def training_step(self, batch, batch_idx):
            seen.append(torch.get_float32_matmul_precision())
            return super().training_step(batch, batch_idx)

    products = trainer.fast_matrix_products
    monkeypatch.setattr(trainer, "fast_matrix_products", lambda _: products(device))
    fit(Asking(), Batches(), epochs=1, folder=tmp_path, seed=1)
    assert set(seen) == {precision}


def test_generators_depend_on_seed_step_and_purpose():
    def draw(*key):
        return torch.rand(1, generator=step_generator(*key)).item()

    assert draw(0, 1, "a") == draw(0, 1, "a")
    assert len({draw(0, 1, "a"), draw(1, 1, "a"), draw(0, 2, "a"), draw(0, 1, "b")}) == 4
