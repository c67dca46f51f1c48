import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import norm

from ccl.generator.decoder import AbductedLatent, gaussian_kl
from ccl.generator.hvae import HVAE, discretised_gaussian_log_prob
from ccl.generator.hvae_options import HVAEOptions, Stage
from companion.experiments.config import experiment
from tests.generator.conftest import SMALL

PARENTS = {"scanner": 3, "sex": 2}


def images(n: int = 4, height: int = 32, width: int = 32) -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randint(0, 256, (n, 1, height, width)) / 127.5 - 1


def codes(n: int = 4) -> dict[str, torch.Tensor]:
    return {"scanner": torch.arange(n) % 3, "sex": torch.arange(n) % 2}


def moved(options: HVAEOptions = SMALL, height: int = 32, width: int = 32) -> HVAE:
    torch.manual_seed(0)
    hvae = HVAE(options, PARENTS, height, width)
    for parameter in hvae.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return hvae


def test_the_likelihood_agrees_with_the_normal_distribution():
    x = torch.tensor([0.0, 51.0, 100.0, 255.0], dtype=torch.float64) / 127.5 - 1
    loc = torch.tensor([-0.9, -0.6, -0.5, 0.95], dtype=torch.float64)
    bound = 1 / 255
    high = np.where(x > 0.999, np.inf, (x + bound - loc) / 0.1)
    low = np.where(x < -0.999, -np.inf, (x - bound - loc) / 0.1)
    expected = np.log(norm.cdf(high) - norm.cdf(low))
    found = discretised_gaussian_log_prob(x, loc, 0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_a_far_pixel_keeps_its_gradient_in_float32():
    loc = torch.tensor([0.9], requires_grad=True)
    log_prob = discretised_gaussian_log_prob(torch.tensor([-0.5]), loc, 0.01)
    log_prob.sum().backward()
    assert torch.isfinite(log_prob).all()
    assert loc.grad is not None
    assert loc.grad.item() == pytest.approx(-1.4 / 0.01**2, rel=0.02)  # (x - loc) / sigma^2


def test_kl_agrees_with_torch():
    torch.manual_seed(0)
    q_loc, q_log, p_loc, p_log = torch.randn(4, 50, dtype=torch.float64)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(q_loc, q_log.exp()),
        torch.distributions.Normal(p_loc, p_log.exp()),
    )
    torch.testing.assert_close(gaussian_kl(q_loc, q_log, p_loc, p_log), expected)


def test_every_parameter_gets_a_gradient():
    hvae = moved()
    elbo = hvae.elbo(images(), codes())
    (elbo.nll + elbo.kl).backward()
    without = [n for n, p in hvae.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize(
    "change",
    [{"abduct": "latent"}, {"abduct": "noise"}, {"posterior_share": 0.3}],
    ids=str,
)
def test_the_null_intervention_reconstructs_the_image(change):
    hvae = moved(SMALL.model_copy(update=change)).eval()
    x, parents = images(), codes()
    noise = hvae.abduct(x, parents)
    torch.testing.assert_close(hvae.predict(noise, parents), x, atol=2e-4, rtol=0)


def test_without_pixel_noise_the_null_intervention_is_the_mean_image():
    hvae = moved().eval()
    x, parents = images(), codes()
    e = hvae.embedding(parents)
    mu, _ = hvae.decode(e, hvae.encode(x, e))
    found = hvae.predict(hvae.abduct(x, parents).without_pixels(), parents)
    torch.testing.assert_close(found, mu.clamp(-1, 1), atol=2e-4, rtol=0)
    assert (found - x).abs().mean() > 0.05


def test_latents_are_mixed_with_the_prior_of_the_new_parents():
    z, loc, scale = torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([2.0])
    assert AbductedLatent(z, is_noise=False, share=0.25).under(loc, scale) == 0.25 * 3 + 0.75 * 1
    assert AbductedLatent(z, is_noise=True, share=0.25).under(loc, scale) == 1 + 0.25 * 2 * 3
    assert AbductedLatent(z, is_noise=False, share=1).under(loc, scale) == z


def test_each_parent_changes_the_prediction():
    hvae = moved().eval()
    x, parents = images(), codes()
    noise = hvae.abduct(x, parents)
    same = hvae.predict(noise, parents)
    for name, count in PARENTS.items():
        other = {**parents, name: (parents[name] + 1) % count}
        assert (hvae.predict(noise, other) - same).abs().mean() > 1e-3, name


def test_calibrated_noise_follows_the_scanner():
    hvae = moved(SMALL.model_copy(update={"pixel_noise": "scanner"})).eval()
    parents = {"scanner": torch.arange(60) % 3, "sex": torch.zeros(60, dtype=torch.int64)}
    e = hvae.embedding(parents)
    clean = torch.zeros(60, 1, 32, 32)
    mu, _ = hvae.decode(e, hvae.encode(clean, e))
    hvae.calibrate_noise([(clean, parents)])
    # The images are 0 everywhere, so every residual is undone whatever its rank.
    noise = hvae.abduct(clean, parents)
    assert hvae.predict(noise, parents).abs().mean() < 0.25 * mu.abs().mean()


def test_the_papers_architecture_is_expressible_and_built():
    options = experiment("paper", "phantom-chest").generator.hvae
    with torch.device("meta"):
        hvae = HVAE(options, PARENTS, 224, 224)
    stochastic = [b for stage in hvae.decoder for b in stage if b.latent_channels]
    assert len(stochastic) == 5 + 10 + 15 + 15 + 10
    assert [s.resolution for s in options.stages] == [224, 112, 56, 28, 14, 7, 1]
    assert options.pixel_noise == "fixed"
    # The released network has 39.9 million.
    assert sum(p.numel() for p in hvae.parameters()) == pytest.approx(38.4e6, rel=0.01)


def test_a_zero_output_starts_from_a_flat_grey_image():
    for zero in (True, False):
        hvae = HVAE(SMALL.model_copy(update={"zero_output": zero}), PARENTS, 32, 32)
        mean, _ = hvae.decode(hvae.embedding(codes()))
        assert bool((mean == 0).all()) == zero


def test_dropout_reaches_the_blocks_in_training_only():
    hvae = moved(SMALL.model_copy(update={"dropout": 0.5}))
    x, e = torch.randn(4, 16, 8, 8), hvae.embedding(codes())
    block = hvae.encoder[0][0]
    assert not torch.equal(block(x, e), block(x, e))
    assert torch.equal(block.eval()(x, e), block(x, e))
    assert torch.equal(block(x, e), moved().encoder[0][0](x, e))  # the same weights without


def test_bad_architectures_are_refused():
    stage = Stage(resolution=8, width=8, encoder_blocks=1, decoder_blocks=1, latent_channels=1)
    with pytest.raises(ValidationError, match="high to low"):
        HVAEOptions(stages=(stage, stage))
    with pytest.raises(ValidationError, match="no stage has latents"):
        HVAEOptions(stages=(stage.model_copy(update={"latent_channels": 0}),))
    with pytest.raises(ValueError, match="first resolution"):
        HVAE(SMALL, PARENTS, 64, 64)


def test_architecture_options_reach_the_layers():
    def described(**change):
        stages = tuple(
            stage.model_copy(update={"resolution": stage.resolution * 4 // change["unshuffle"]})
            if change.get("unshuffle") and stage.resolution > 1
            else stage
            for stage in SMALL.stages
        )
        options = SMALL.model_copy(update={"stages": stages} | change)
        layers = list(HVAE(options, PARENTS, 32, 32).modules())
        norms = [layer.num_groups for layer in layers if isinstance(layer, torch.nn.GroupNorm)]
        convs = [layer.weight.shape for layer in layers if isinstance(layer, torch.nn.Conv2d)]
        return max(norms), convs

    groups, convs = described()
    assert described(groups=2)[0] == 2 < groups
    assert described(bottleneck=1.0)[1] != convs
    kernels = (
        [shape[2] for shape in convs[1:4]],
        [shape[2] for shape in described(block="plain")[1][1:3]],
    )
    assert kernels == ([1, 3, 1], [3, 3])
    assert described(unshuffle=2)[1][0] != convs[0]
