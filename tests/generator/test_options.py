"""Numbers that make no sense are refused with their name, before anything is trained."""

import pytest
from pydantic import ValidationError

from ccl.generator.hvae_options import HVAEOptions, Stage
from ccl.generator.training import GeneratorOptions
from companion.cohorts.bank import BankOptions
from tests.generator.conftest import SMALL

STAGE = SMALL.stages[0].model_dump()
SENSELESS = [
    *((GeneratorOptions, name, 0) for name in ("epochs", "batch_size", "learning_rate")),
    *((GeneratorOptions, name, 0) for name in ("gradient_clip", "gradient_skip")),
    *((GeneratorOptions, name, -1) for name in ("weight_decay", "warmup_steps", "beta")),
    (GeneratorOptions, "betas", (0.9, 1.0)),
    (GeneratorOptions, "ema_decay", 1.0),
    (GeneratorOptions, "rare_scanner_weight", 1.5),
    (BankOptions, "batch_size", 0),
    *((HVAEOptions, name, 0) for name in ("unshuffle", "embedding", "bottleneck", "groups")),
    (HVAEOptions, "pixel_scale", 0),
    (HVAEOptions, "dropout", 1),
    *((Stage, name, 0) for name in ("resolution", "width")),
    *((Stage, name, -1) for name in ("encoder_blocks", "decoder_blocks", "latent_channels")),
]


@pytest.mark.parametrize(("kind", "name", "value"), SENSELESS)
def test_senseless_numbers_are_refused(kind, name, value):
    whole = {
        GeneratorOptions: {"hvae": SMALL, "epochs": 1},
        BankOptions: {},
        HVAEOptions: SMALL.model_dump(),
        Stage: STAGE,
    }[kind]
    kind.model_validate(whole)
    with pytest.raises(ValidationError, match=name):
        kind.model_validate(whole | {name: value})
