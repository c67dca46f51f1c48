import numpy as np
import pytest
import torch

from ccl.generator.pixel_noise import PixelNoise, _hash_uniform

SOURCE, TARGET = 0, 1


def images(level: float, spread: float, count: int = 64, seed: int = 0) -> torch.Tensor:
    """Images (count, 1, 16, 16) of 8 bits with noise of one spread around one grey level."""
    noise = torch.randn(count, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    return (((level + spread * noise).clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def scanner(code: int, count: int = 64) -> dict[str, torch.Tensor]:
    return {"scanner": torch.full((count,), code)}


def calibrated(source: torch.Tensor, target: torch.Tensor, level: float) -> PixelNoise:
    """Noise of two scanners whose mean image is `level` everywhere."""
    noise = PixelNoise("scanner", 0.1, 2)
    mean = torch.full_like(source, level)
    noise.calibrate([(source, mean, scanner(SOURCE)), (target, mean, scanner(TARGET))])
    return noise


def test_fixed_noise_is_carried_over():
    x, mu = images(0.0, 0.1), torch.zeros(64, 1, 16, 16)
    noise = PixelNoise("fixed", 0.1, 2)
    u = noise.abduct(x, mu, scanner(SOURCE))
    torch.testing.assert_close(u, x / 0.1)
    torch.testing.assert_close(noise.predict(u, mu, scanner(TARGET)), x)


def test_amount_follows_the_scanner():
    x = images(0.0, 0.05)
    noise, mu = calibrated(x, images(0.0, 0.15, seed=1), 0.0), torch.zeros_like(x)
    u = noise.abduct(x, mu, scanner(SOURCE))
    assert u.std().item() == pytest.approx(1, abs=0.03)
    moved = noise.predict(u, mu, scanner(TARGET))
    assert moved.std().item() == pytest.approx(0.15, rel=0.03)
    # Monotone: the brightest pixels of the source stay the brightest ones.
    assert np.corrcoef(x.flatten(), moved.flatten())[0, 1] > 0.99


def test_the_null_intervention_returns_the_image_up_to_a_grey_level():
    x = images(0.0, 0.05)
    noise, mu = calibrated(x, images(0.0, 0.15, seed=1), 0.0), torch.zeros_like(x)
    back = noise.predict(noise.abduct(x, mu, scanner(SOURCE)), mu, scanner(SOURCE))
    inside = x.abs() < 0.1  # beyond the outermost quantile, residuals are cut off
    assert (back - x)[inside].abs().max() <= 2 / 255
    assert (back - x).abs().mean() < 1 / 255


def test_clipped_black_becomes_noise_and_noise_becomes_clipped_black():
    black, noisy = torch.full((64, 1, 16, 16), -1.0), images(-0.99, 0.1)
    noise, mu = calibrated(black, noisy, -0.99), torch.full_like(black, -0.99)
    u = noise.abduct(black, mu, scanner(SOURCE))
    assert u.std().item() == pytest.approx(1, abs=0.05)  # drawn, since black says nothing
    made = noise.predict(u, mu, scanner(TARGET))
    # Beyond the outermost quantile the tail is cut.
    assert made.std().item() == pytest.approx(noisy.std().item(), rel=0.15)
    u = noise.abduct(noisy, mu, scanner(TARGET))
    assert (noise.predict(u, mu, scanner(SOURCE)) + 1).abs().max() < 2 / 255


def test_levels_have_noise_of_their_own():
    dark, bright = images(-0.5, 0.02), images(0.5, 0.2)
    noise = PixelNoise("scanner", 0.1, 1)
    parents = scanner(0)
    means = [torch.full_like(dark, level) for level in (-0.5, 0.5)]
    noise.calibrate([(dark, means[0], parents), (bright, means[1], parents)])
    u = torch.randn(64, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    spreads = [(noise.predict(u, mu, parents) - mu).std().item() for mu in means]
    assert spreads == pytest.approx([0.02, 0.2], rel=0.1)


def test_before_calibration_it_is_the_fixed_noise():
    x, mu = images(0.0, 0.1), torch.zeros(64, 1, 16, 16)
    noise = PixelNoise("scanner", 0.1, 2)
    u = noise.abduct(x, mu, scanner(SOURCE))
    inside = x.abs() < 0.2
    torch.testing.assert_close(u[inside], (x / 0.1)[inside], atol=0.12, rtol=0)
    noise.calibrate([(images(0.0, 0.02), mu, scanner(SOURCE))])
    of_target = noise.abduct(x, mu, scanner(TARGET))  # of which no image was seen
    torch.testing.assert_close(of_target, u, atol=0, rtol=0)
    assert not torch.equal(noise.abduct(x, mu, scanner(SOURCE)), u)


def test_draws_are_uniform_and_belong_to_the_image():
    x = images(0.0, 0.1)
    drawn = _hash_uniform(x)
    torch.testing.assert_close(drawn, _hash_uniform(x), atol=0, rtol=0)
    torch.testing.assert_close(
        drawn[5:6], _hash_uniform(x[5:6]), atol=0, rtol=0
    )  # whatever the batch
    counts = torch.histc(drawn.flatten().float(), 16, 0, 1)
    assert (counts / counts.mean() - 1).abs().max() < 0.15
    assert abs(np.corrcoef(drawn[0].flatten(), drawn[1].flatten())[0, 1]) < 0.2
    black = torch.full((2, 1, 16, 16), -1.0)
    black[1, 0, 0, 0] = 1.0
    one, other = _hash_uniform(black)
    assert abs(np.corrcoef(one.flatten(), other.flatten())[0, 1]) < 0.2
