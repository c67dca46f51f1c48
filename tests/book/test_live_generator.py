"""The generator in plain JavaScript computes what PyTorch computes (headless Chromium)."""

import base64
import json
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from ccl.generator.generator import Generator, description, to_model
from ccl.generator.graph import ImageParents
from ccl.generator.hvae import HVAE, ImageNoise
from ccl.generator.hvae_options import HVAEOptions
from companion.book import live
from companion.book.live import Live
from companion.book.widgets import FOLDER
from tests.book import chromium

SCANNERS, SEXES, FRAME = ("A", "B", "C"), ("F", "M"), (32, 28)
STAGES = [
    {"resolution": 8, "width": 24, "encoder_blocks": 2, "decoder_blocks": 2, "latent_channels": 3},
    {"resolution": 4, "width": 32, "encoder_blocks": 1, "decoder_blocks": 1, "latent_channels": 0},
    {"resolution": 1, "width": 32, "encoder_blocks": 0, "decoder_blocks": 1, "latent_channels": 5},
]
OPTIONS: dict[str, dict[str, Any]] = {
    "quick": {
        "pixel_noise": "scanner",
        "pixel_map": "line",
        "abduct": "noise",
        "registered": "sex",
    },
    "tiny": {"pixel_noise": "scanner"},
    "paper": {"block": "plain", "pixel_map": "none", "pixel_noise": "fixed", "abduct": "latent"},
    "mean": {"pixel_map": "mean", "groups": 3},
    "mixed": {"posterior_share": 0.7},
    "shared": {"posterior_share": 0.5, "abduct": "noise"},
}
IMAGE = np.random.default_rng(1).integers(0, 256, FRAME, dtype=np.uint8)
OWN = {"scanner": [1, 0, 0], "sex": [1, 0]}
STILL = {"grain": 0}

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def tab(browser: chromium.Tab) -> chromium.Tab:
    browser.open("about:blank#")
    for name in ("network", "draws", "hvae"):
        browser.run((FOLDER / f"{name}.js").read_text())
    return browser


def made(options: dict[str, Any], sex: bool = True) -> Generator:
    """A generator of random weights and tables, which changes images under interventions."""
    torch.manual_seed(0)
    known = ImageParents({"scanner": SCANNERS} | ({"sex": SEXES} if sex else {}))
    stages = {"stages": STAGES, "unshuffle": 4, "bottleneck": 0.5, "pixel_scale": 0.1}
    hvae = HVAE(HVAEOptions.model_validate(stages | options), known.sizes, *FRAME)
    for parameter in hvae.parameters():
        parameter.data += 0.15 * torch.randn_like(parameter) / max(1, parameter[0].numel()) ** 0.5
    moments = [(100 + 40 * np.random.rand(*FRAME), 20 + 20 * np.random.rand(*FRAME))] * 1
    moments += [(90 + 60 * np.random.rand(*FRAME), 30 + 20 * np.random.rand(*FRAME))] * 2
    hvae.pixel_map.calibrate(moments)
    if hvae.registration.parent is not None:
        hvae.registration.to_grid += 0.1 * torch.randn_like(hvae.registration.to_grid)
        hvae.registration.from_grid += 0.1 * torch.randn_like(hvae.registration.from_grid)
    if hvae.pixel_noise.kind == "scanner":
        hvae.pixel_noise.quantiles *= 0.5 + torch.rand(len(SCANNERS), 64, 1)
    return Generator(known, hvae.eval().requires_grad_(False))


def in_page(
    tab: chromium.Tab,
    opened: Generator | Live | None,
    asked: dict[str, Any],
    how: dict[str, Any],
    *,
    own: dict[str, Any] = OWN,
    image: np.ndarray = IMAGE,
) -> np.ndarray:
    """Grey levels of one counterfactual, float (H, W), as the page computes them.

    Args:
        opened: what the page is sent; of a generator, all its weights as they are.
    """
    if isinstance(opened, Generator):
        weights = safetensors.torch.save(opened.hvae.state_dict())
        opened = Live(description(opened), weights)
    assert opened is not None
    found = tab.run(
        f"""(() => {{
          const text = atob('{base64.b64encode(opened.weights).decode()}');
          const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
          const weights = readSafetensors(new DataView(bytes.buffer));
          const net = openHvae({json.dumps(opened.description)}, weights);
          const x = Float64Array.from({json.dumps((image / 127.5 - 1).ravel().tolist())});
          const noise = net.abduct(x, {json.dumps(own)});
          return Array.from(net.predict(noise, {json.dumps(asked)}, {json.dumps(how)}));
        }})()"""
    )
    return (np.asarray(found).reshape(image.shape) + 1) * 127.5


def one_hot(codes: dict[str, int], generator: Generator) -> dict[str, list[int]]:
    sizes = generator.parents.sizes
    return {name: [int(k == codes[name]) for k in range(size)] for name, size in sizes.items()}


def compared(
    tab: chromium.Tab, generator: Generator, how: dict[str, Any], opened: Generator | Live | None
) -> tuple[float, float]:
    """Mean difference to PyTorch, and to the image without intervention, in grey levels."""
    rng = np.random.default_rng(1)
    errors, changes = [], []
    for n in range(4):
        image = rng.integers(0, 256, FRAME, dtype=np.uint8)
        codes = {"scanner": n % 3, "sex": n % 2}
        target = {"scanner": (n + 1) % 3, "sex": n // 2}
        do = {"scanner": SCANNERS[target["scanner"]], "sex": SEXES[target["sex"]]}
        observed = {name: torch.tensor([code]) for name, code in codes.items()}
        exogenous = generator.abduct(to_model(image[None]), observed)
        wanted, kept = (
            generator.predict(exogenous, do=each, pixel_noise=bool(how["grain"]))[0, 0].numpy()
            for each in (do, {})
        )
        own, asked = one_hot(codes, generator), one_hot(target, generator)
        found = in_page(tab, opened, asked, how, own=own, image=image)
        errors.append(float(np.abs(found - (wanted + 1) * 127.5).mean()))
        changes.append(float(np.abs(wanted - kept).mean() * 127.5))
    return float(np.mean(errors)), float(np.mean(changes))


@pytest.mark.parametrize("grain", [0, 1])
@pytest.mark.parametrize("name", OPTIONS)
def test_the_network_is_that_of_pytorch(tab: chromium.Tab, name: str, grain: int) -> None:
    generator = made(OPTIONS[name])
    error, change = compared(tab, generator, {"grain": grain}, generator)
    assert error <= 0.005
    assert change > 50 * error  # an intervention that does nothing would be easy


@pytest.mark.parametrize("name", OPTIONS)
def test_half_precision_moves_images_little(
    tab: chromium.Tab, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of random networks; that of the book is held to its bar in test_browser.py."""
    generator = made(OPTIONS[name])
    whole = live.live(generator)
    assert whole is not None
    monkeypatch.setattr(live, "LARGEST", len(whole.weights) - 1)
    halved = live.live(generator)
    assert halved is not None
    assert len(halved.weights) < len(whole.weights)
    error, _ = compared(tab, generator, STILL, halved)
    assert error <= 0.1


def test_a_large_generator_stays_out_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LARGEST", 1000)
    assert live.live(made({})) is None


def test_sex_is_no_parent_of_every_cohort(tab: chromium.Tab) -> None:
    generator = made({"pixel_noise": "scanner"}, sex=False)
    codes = {"scanner": torch.tensor([0])}
    wanted = generator.counterfactual(to_model(IMAGE[None]), codes, do={"scanner": "B"})
    own, asked = {"scanner": [1, 0, 0]}, {"scanner": [0, 1, 0]}
    found = in_page(tab, generator, asked, {}, own=own)
    assert np.abs(found - (wanted[0, 0].numpy() + 1) * 127.5).mean() <= 0.005


def test_between_two_scanners_the_image_lies_between(tab: chromium.Tab) -> None:
    """Also the pixel map of a mixture: that of no scanner, so PyTorch has no word for it."""
    generator = made(OPTIONS["quick"])
    first, middle, last = (
        in_page(tab, generator, OWN | {"scanner": scanner}, STILL)
        for scanner in ([1, 0, 0], [0.5, 0.5, 0], [0, 1, 0])
    )
    away = np.abs(last - first).mean()
    assert 0.3 * away < np.abs(middle - first).mean() < 0.7 * away
    assert 0.3 * away < np.abs(middle - last).mean() < 0.7 * away


@pytest.mark.parametrize("abduct", ["noise", "latent"])
def test_kept_moves_latents_towards_the_prior(tab: chromium.Tab, abduct: str) -> None:
    generator = made({"abduct": abduct})
    codes = {"scanner": torch.tensor([0]), "sex": torch.tensor([0])}  # as OWN
    abducted = generator.hvae.abduct(to_model(IMAGE[None]), codes)
    shared = made({"abduct": abduct, "posterior_share": 0.25})
    noise = ImageNoise(abducted.latents, None)
    wanted = (shared.hvae.predict(noise, codes)[0, 0].numpy() + 1) * 127.5
    found = in_page(tab, generator, OWN, STILL | {"kept": 0.25})
    assert np.abs(found - wanted).mean() <= 0.05
    assert np.abs(in_page(tab, generator, OWN, STILL) - wanted).mean() > 0.5


def test_temperature_draws_latents_anew_and_repeats_them(tab: chromium.Tab) -> None:
    generator, how = made(OPTIONS["quick"]), STILL | {"temperature": 0.8}
    one, again, other = (in_page(tab, generator, OWN, how | {"seed": seed}) for seed in (3, 3, 4))
    assert np.array_equal(one, again)
    assert np.abs(one - other).mean() > 0.1


def test_drawn_noise_has_the_scanners_spread(tab: chromium.Tab) -> None:
    generator = made({"pixel_noise": "scanner"})
    generator.hvae.pixel_noise.quantiles[1] *= 3
    flat = np.full(FRAME, 128, np.uint8)
    spreads = []
    for scanner in ([1, 0, 0], [0, 1, 0]):
        asked = {"scanner": scanner, "sex": [1, 0]}
        drawn, still = (
            in_page(tab, generator, asked, how, image=flat)
            for how in ({"fresh": True, "seed": 5}, STILL)
        )
        spreads.append((drawn - still).std())
    assert spreads[1] > 1.5 * spreads[0]
