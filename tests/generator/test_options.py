"""Options that make no sense are refused with their name, before anything is trained."""

from typing import Any

import pytest
from pydantic import ValidationError

from ccl.generator.hvae_options import HVAEOptions, Stage
from ccl.generator.options import GeneratorOptions, TuningOptions
from ccl.objectives.dino_options import DinoOptions
from ccl.options import Options
from ccl.views.options import AugmentOptions, CropOptions, MaskOptions
from companion.cohorts.bank import BankOptions
from companion.evaluation.options import ConvergenceOptions, FinetuningOptions, ProbingOptions
from tests.generator.conftest import SMALL

WHOLE: dict[type[Options], dict[str, Any]] = {
    GeneratorOptions: {"hvae": SMALL, "epochs": 1},
    HVAEOptions: SMALL.model_dump(),
    Stage: SMALL.stages[0].model_dump(),
}
SENSELESS: list[tuple[type[Options], str, Any]] = [
    *((GeneratorOptions, name, 0) for name in ("epochs", "batch_size", "learning_rate")),
    *((GeneratorOptions, name, 0) for name in ("gradient_clip", "gradient_skip")),
    *((GeneratorOptions, name, -1) for name in ("weight_decay", "warmup_steps", "beta")),
    (GeneratorOptions, "betas", (0.9, 1.0)),
    (GeneratorOptions, "ema_decay", 1.0),
    (GeneratorOptions, "rare_scanner_weight", 1.5),
    (BankOptions, "batch_size", 0),
    *((TuningOptions, "variables", bad) for bad in ((), ("label",), ("scanner", "age"))),
    *((HVAEOptions, name, 0) for name in ("unshuffle", "embedding", "bottleneck", "groups")),
    *((HVAEOptions, "pixel_scale", 0), (HVAEOptions, "dropout", 1)),
    *((Stage, name, 0) for name in ("resolution", "width")),
    *((Stage, name, -1) for name in ("encoder_blocks", "decoder_blocks", "latent_channels")),
    *((AugmentOptions, "crop_scale", bad) for bad in ((0.5, 0.3), (0.0, 0.3), (0.5, 1.1))),
    *((AugmentOptions, "crop_ratio", (-1, 2)), (AugmentOptions, "erase_probability", 1.5)),
    *((AugmentOptions, "brightness", -0.1), (AugmentOptions, "blur", 1)),
    *((CropOptions, "local_crops", bad) for bad in (0, 3)),
    (CropOptions, "blur_probability", (1.0, 2.0, 0.5)),
    *((CropOptions, "blur_sigma", bad) for bad in ((0.0, 1.0), (1.0, 0.5))),
    *((MaskOptions, "ratio", bad) for bad in ((0.5, 0.1), (-0.1, 0.1), (0.1, 1.1))),
    (MaskOptions, "probability", 1.1),
    *((DinoOptions, "centering", "mean"), (DinoOptions, "student_temperature", 0)),
    *((DinoOptions, "teacher_temperature", (0, 0.07)), (DinoOptions, "gradient_clip", 0)),
    *((ProbingOptions, "fractions", bad) for bad in ((), (0.1, 0.1), (0.0, 1.0))),
    *((ConvergenceOptions, "fractions", bad) for bad in ((), (1.0, 1), (0.5, 1.5))),
    *((kind, "seeds", (0, 1, 0)) for kind in (ProbingOptions, FinetuningOptions)),
    *((DinoOptions, "teacher_momentum", (0.9, 1.1)), (DinoOptions, "tau", 1)),
]


@pytest.mark.parametrize(("kind", "name", "value"), SENSELESS)
def test_senseless_values_are_refused(kind: type[Options], name: str, value: Any) -> None:
    whole = WHOLE.get(kind, {})
    kind.model_validate(whole)
    with pytest.raises(ValidationError, match=name):
        kind.model_validate(whole | {name: value})
