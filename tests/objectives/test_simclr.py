import numpy as np
import pytest
import torch

from ccl.devices import computes_in_bfloat16
from ccl.encoders.encoder import EncoderOptions, build_encoder
from ccl.objectives.batches import PairBatches
from ccl.objectives.embedding_statistics import effective_rank, embedding_statistics
from ccl.objectives.simclr import SimCLR, SimCLROptions
from ccl.pairs import Pairs
from ccl.schedules import warmup_cosine
from ccl.views.options import AugmentOptions
from tests.fitting import fit
from tests.objectives.resuming import undisturbed_and_resumed

SMALL = {"projector_hidden": 16, "projector_out": 8, "batch_size": 8, "epochs": 2}


pytestmark = pytest.mark.usefixtures("logged")


def make(seed=0, **changed):
    torch.manual_seed(0)
    options = SimCLROptions(**(SMALL | changed))
    encoder = build_encoder(EncoderOptions(), (32, 32))
    return SimCLR(encoder, options, seed=seed, steps_per_epoch=5)


def test_every_parameter_gets_a_finite_gradient(batch):
    module = make()
    module.training_step(batch, 0).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # The last scale of a residual block starts at 0, which silences what lies before it.
        if "layer" not in name:
            assert parameter.grad.abs().max() > 0, name


def test_a_step_depends_on_seed_and_step_only(batch):
    module = make()
    torch.testing.assert_close(module.views(batch, 5), module.views(batch, 5), rtol=0, atol=0)
    assert not torch.equal(module.views(batch, 5), module.views(batch, 6))
    assert not torch.equal(module.views(batch, 5), make(seed=1).views(batch, 5))


def test_views_are_the_first_sources_then_their_partners(batch):
    options = AugmentOptions(
        **{name: 0 for name in AugmentOptions.model_fields if name.endswith("probability")}
    )
    views = make(augment=options).views(batch, 0)
    torch.testing.assert_close(views[:8, 0], batch["a"] / 255)
    torch.testing.assert_close(views[8:, 0], batch["b"] / 255)


@pytest.mark.parametrize("optimizer", ["adamw", "adam"])
def test_optimiser_options_reach_it(optimizer):
    module = make(optimizer=optimizer, learning_rate=0.123, weight_decay=0.045, warmup_epochs=2)
    configured = module.configure_optimizers()
    built = configured["optimizer"]
    assert type(built).__name__.lower() == optimizer
    decayed, spared = built.param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.045, 0.0)
    assert decayed["initial_lr"] == 0.123
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(list(module.parameters()))


def test_schedule_options_reach_it():
    rates = []
    first = {"warmup_epochs": 1}
    changes = ({"warmup_epochs": 2}, first | {"epochs": 4}, first | {"decline": "none"})
    for options in (first, *changes):
        configured = make(learning_rate=1.0, **options).configure_optimizers()
        schedule = configured["lr_scheduler"]["scheduler"]
        for _ in range(7):
            configured["optimizer"].step()
            schedule.step()
        rates.append(schedule.get_last_lr()[0])
    assert len(set(rates)) == 4
    assert configured["lr_scheduler"]["interval"] == "step"


def test_schedule_grows_linearly_and_falls_as_a_cosine():
    curve = [warmup_cosine(step, 4, 20) for step in range(21)]
    np.testing.assert_allclose(curve[:5], [0.25, 0.5, 0.75, 1, 1])
    assert curve[12] == pytest.approx(0.5)
    assert curve[20] == pytest.approx(0)
    assert warmup_cosine(0, 0, 10) == 1
    assert [warmup_cosine(step, 4, 20, "none") for step in (0, 4, 12, 20)] == [0.25, 1, 1, 1]


def test_projector_options_reach_it():
    module = make(projector_hidden=11, projector_out=7)
    assert [module.projector[0].out_features, module.projector[2].out_features] == [11, 7]
    assert module.embed(torch.rand(3, 1, 32, 32)).shape == (3, 7)


def test_precision_option_reaches_the_encoder():
    seen = {}
    for precision in ("bfloat16", "float32"):
        module = make(precision=precision)
        module.projector[0].register_forward_hook(
            lambda layer, given, out, key=precision: seen.update({key: out.dtype})
        )
        assert module.embed(torch.rand(2, 1, 32, 32)).dtype == torch.float32
    half = torch.bfloat16 if computes_in_bfloat16("cpu") else torch.float32
    assert seen == {"bfloat16": half, "float32": torch.float32}


def test_augment_options_reach_the_views(batch):
    still = AugmentOptions(erase_probability=0)
    assert not torch.equal(make().views(batch, 0), make(augment=still).views(batch, 0))


def test_resumed_training_equals_undisturbed_training(monkeypatch, tmp_path, batch):
    monkeypatch.undo()
    undisturbed, resumed = undisturbed_and_resumed(
        lambda: make(epochs=3), batch, tmp_path, killed_in=1
    )
    for name, value in undisturbed.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0, msg=name)


def test_training_logs_loss_and_collapse_statistics(monkeypatch, tmp_path, batch):
    monkeypatch.undo()
    pairs = Pairs("standard", batch["a"].numpy())
    batches = PairBatches(pairs, np.arange(8), batch_size=8, seed=0)
    history = fit(make(), batches, epochs=1, folder=tmp_path, seed=0)
    statistics = ("embedding_std", "effective_rank", "mean_cosine", "alignment", "uniformity")
    assert set(history) >= {"loss", "loss_over_chance", *statistics}
    assert history.notna().all(axis=None)


def test_statistics_show_a_collapse():
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(512, 32, generator=generator)
    point = torch.ones(512, 32) + 1e-4 * spread
    line = torch.outer(torch.randn(512, generator=generator), torch.ones(32))
    good, collapsed, flat = (embedding_statistics(z, z) for z in (spread, point, line))
    assert good["embedding_std"] == pytest.approx(1, abs=0.05)
    assert collapsed["embedding_std"] < 1e-2
    assert good["effective_rank"] > 28
    assert flat["effective_rank"] == pytest.approx(1, abs=0.01)
    assert good["mean_cosine"] == pytest.approx(0, abs=0.02)
    assert collapsed["mean_cosine"] == pytest.approx(1, abs=1e-3)
    assert good["uniformity"] < -3
    assert collapsed["uniformity"] == pytest.approx(0, abs=1e-3)
    assert embedding_statistics(torch.ones(4, 3), torch.ones(4, 3))["effective_rank"] == 1


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (20, 20)])
def test_the_effective_rank_is_that_of_the_covariance(shape):
    """Whichever products it is taken from."""
    z = torch.randn(*shape, generator=torch.Generator().manual_seed(0)).double()
    eigenvalues = np.linalg.eigvalsh(np.cov(z.numpy(), rowvar=False)).clip(1e-30)
    share = eigenvalues / eigenvalues.sum()
    expected = np.exp(-(share * np.log(share)).sum())
    assert effective_rank(z).item() == pytest.approx(expected, rel=1e-9)
    assert effective_rank(z.float()).item() == pytest.approx(expected, rel=1e-4)
    # Embeddings that are no numbers stop nothing here: the guard of the loss says what is wrong.
    assert effective_rank(z * float("nan")).isnan()
    ranked = [s for s in range(101) if "effective_rank" in embedding_statistics(z, z, step=s)]
    assert ranked == [0, 50, 100]


def test_alignment_and_uniformity_against_loops():
    generator = torch.Generator().manual_seed(0)
    z_a, z_b = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    a, b = (z / z.norm(dim=1, keepdim=True) for z in (z_a, z_b))
    alignment = np.mean([float((a[i] - b[i]).square().sum()) for i in range(6)])
    distances = [float((a[i] - a[j]).square().sum()) for i in range(6) for j in range(6) if i != j]
    found = embedding_statistics(z_a, z_b)
    assert found["alignment"].item() == pytest.approx(alignment, rel=1e-5)
    assert found["uniformity"].item() == pytest.approx(
        np.log(np.mean(np.exp(-2 * np.array(distances)))), rel=1e-5
    )


def test_temperature_option_reaches_the_loss(batch):
    cold, warm = (make(temperature=tau).training_step(batch, 0) for tau in (0.1, 0.5))
    assert cold != warm
