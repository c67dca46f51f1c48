"""A small phantom cohort and a small generator, shared by the generator's tests."""

from pathlib import Path

import pytest
import torch

from ccl.generator.generator import Generator
from ccl.generator.hvae import HVAE
from ccl.generator.hvae_options import HVAEOptions, Stage
from ccl.generator.training import GeneratorOptions
from companion.cohorts.causes import image_parents
from companion.cohorts.cohort import Cohort
from companion.cohorts.registry import build
from companion.cohorts.simulation.phantom_chest import PhantomChestOptions

SMALL = HVAEOptions(
    stages=(
        Stage(resolution=8, width=16, encoder_blocks=1, decoder_blocks=1, latent_channels=2),
        Stage(resolution=4, width=16, encoder_blocks=1, decoder_blocks=1, latent_channels=4),
        Stage(resolution=1, width=16, encoder_blocks=1, decoder_blocks=1, latent_channels=4),
    ),
    unshuffle=4,
    pixel_scale=0.1,
)
# Two resolutions, where what is tested hangs on none: every operation costs.
FLAT = SMALL.model_copy(update={"stages": SMALL.stages[::2]})


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    options = PhantomChestOptions(size=32, n_train=120, n_val=30, n_test_per_scanner=20)
    return build(options, None, tmp_path_factory.mktemp("phantom") / "cohort")


@pytest.fixture
def options() -> GeneratorOptions:
    return GeneratorOptions(hvae=SMALL, epochs=2, batch_size=20, warmup_steps=2, ema_decay=0.9)


@pytest.fixture
def generator(phantom: Cohort) -> Generator:
    """Untrained, but with weights away from their start at q = p."""
    torch.manual_seed(0)
    parents = image_parents(phantom)
    hvae = HVAE(SMALL, parents.sizes, 32, 32)
    for parameter in hvae.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return Generator(parents, hvae.eval().requires_grad_(False))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
