import pytest
import torch
from pydantic import ValidationError

from ccl.encoders.encoder import EncoderOptions, build_encoder
from ccl.views.batch import as_image


def encoder(**options):
    torch.manual_seed(0)
    return build_encoder(EncoderOptions(**options), (48, 64))


@pytest.mark.parametrize(
    ("architecture", "width"),
    [("resnet-slim", 192), ("resnet18", 512), ("vit_tiny_patch16_224", 192), ("vit-slim", 96)],
)
def test_features_of_one_channel_images(architecture, width):
    built = encoder(architecture=architecture).eval()
    features = built(torch.rand(2, 1, 48, 64))
    assert features.shape == (2, width) == (2, built.width)
    assert features.isfinite().all()


def test_slim_resnet_has_the_documented_shapes():
    backbone = encoder().backbone
    channels = [getattr(backbone, f"layer{i}")[0].conv2.out_channels for i in (1, 2, 3, 4)]
    assert channels == [24, 48, 96, 192]
    assert [len(getattr(backbone, f"layer{i}")) for i in (1, 2, 3, 4)] == [1, 1, 1, 1]
    assert backbone.conv1.in_channels == 1
    assert not hasattr(backbone.layer1[0], "downsample") or backbone.layer1[0].downsample is None


@pytest.mark.parametrize(("stride", "height"), [(2, 24), (4, 12)])
def test_stem_stride_reaches_the_stem(stride, height):
    backbone = encoder(stem_stride=stride).backbone
    seen = []
    backbone.layer1.register_forward_hook(lambda layer, given, out: seen.append(out.shape[2:]))
    backbone(torch.rand(1, 1, 48, 64))
    assert seen == [(height, height * 4 // 3)]


@pytest.mark.parametrize("stride", [2, 4])
def test_every_parameter_gets_a_gradient(stride):
    built = encoder(stem_stride=stride)
    for module in built.modules():  # residual branches start silenced by a zero scale
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
    built(torch.rand(4, 1, 48, 64)).square().sum().backward()
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_unknown_architectures_and_options_are_named():
    with pytest.raises(ValueError, match="'resnet-slimmer' is neither"):
        encoder(architecture="resnet-slimmer")
    with pytest.raises(ValidationError, match="depth"):
        EncoderOptions(depth=3)


def test_stored_pixels_become_an_input():
    image = as_image(torch.tensor([[[0, 255]]], dtype=torch.uint8))
    assert image.shape == (1, 1, 1, 2)
    assert image.flatten().tolist() == [0, 1]
    with pytest.raises(ValueError, match="uint8"):
        as_image(torch.rand(1, 2, 2))
