"""Pretraining on another device than the CPU: the same losses and gradients."""

import pytest
import torch

from ccl.encoders.encoder import EncoderOptions, build_encoder
from ccl.objectives.dino import Dino
from ccl.objectives.dino_options import DinoOptions
from ccl.objectives.simclr import SimCLR, SimCLROptions
from ccl.views.options import AugmentOptions, CropOptions, GlobalCropOptions, LocalCropOptions
from tests.objectives.test_dino import SMALL
from tests.pretend_device import on_both


def always(kind, **given):
    """Options of views to which everything happens."""
    return kind(**{name: 1 for name in kind.model_fields if name.endswith("probability")} | given)


CROPS = CropOptions(
    global_crop=always(GlobalCropOptions),
    local_crop=always(LocalCropOptions),
    global_size=(24, 24),
    local_size=(16, 16),
    blur_probability=(1, 1, 1),
    solarize_probability=(1, 1, 1),
)


def simclr(**changed):
    options = SimCLROptions(
        projector_hidden=16, projector_out=8, batch_size=8, epochs=2, precision="float32", **changed
    )
    encoder = build_encoder(EncoderOptions(), (32, 32))
    return SimCLR(encoder, options, seed=0, steps_per_epoch=5)


def dino(**changed):
    options = DinoOptions.model_validate(SMALL | {"crops": CROPS.model_dump()} | changed)
    return Dino(build_encoder(options.encoder, (32, 32)), options, seed=0, steps_per_epoch=5)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (simclr, {"augment": always(AugmentOptions)}),
        (simclr, {"optimizer": "adam"}),
        (dino, {"centering": "sinkhorn", "drop_path": 0.3}),
        (dino, {"centering": "softmax", "ibot_head": "shared", "masks": {"probability": 0.0}}),
    ],
)
def test_a_step(batch, device, logged, make, options):
    def step(place):
        torch.manual_seed(0)
        module = make(**options).to(place)
        torch.manual_seed(1)  # of what drops out
        loss = module.training_step({name: images.to(place) for name, images in batch.items()}, 0)
        loss.backward()
        if isinstance(module, Dino):
            module.on_before_optimizer_step(None)
            module.update_teacher(0.5)
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        state = [x.float() for x in module.state_dict().values()]
        numbers = [value.detach() for value in logged.values()]
        return [x.cpu() for x in (loss.detach(), *numbers, *gradients, *state)]

    found = on_both(step)
    assert len(found[0]) > 20
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("make", [simclr, dino])
def test_a_step_of_the_optimiser(batch, device, logged, make):
    module = make().to(device)
    configured = module.configure_optimizers()
    optimizer = configured["optimizer"] if isinstance(configured, dict) else configured
    before = [p.detach().cpu().clone() for p in module.parameters() if p.requires_grad]
    module.training_step({name: x.to(device) for name, x in batch.items()}, 0).backward()
    optimizer.step()
    after = [p.detach().cpu() for p in module.parameters() if p.requires_grad]
    assert not all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
