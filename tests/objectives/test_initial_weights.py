from unittest import mock

import pytest
import timm
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed

from ccl.encoders import initial_weights
from ccl.encoders.encoder import EncoderOptions, build_encoder
from ccl.encoders.initial_weights import ROOT, weights_file
from companion.experiments.config import experiment

VIT = "vit_tiny_patch16_224"


@pytest.fixture(scope="module")
def rgb():
    """A published model's stand-in: RGB, with classifier, random weights."""
    torch.manual_seed(5)
    return timm.create_model("resnet18", num_classes=7)


def saved(tmp_path, state):
    path = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return str(path)


def built(pretrained, architecture="resnet18", size=(48, 64)):
    options = EncoderOptions(architecture=architecture, pretrained=pretrained)
    return build_encoder(options, size)


def test_features_are_those_of_the_rgb_model_on_grey_images(rgb, tmp_path):
    """Summed kernels see in one channel what the RGB stem sees in three equal ones."""
    encoder = built(saved(tmp_path, rgb.state_dict())).eval()
    rgb = rgb.eval()
    image = torch.rand(2, 1, 48, 64)
    with torch.no_grad():
        expected = rgb.forward_head(
            rgb.forward_features(((image - 0.5) * 4).expand(-1, 3, -1, -1)), pre_logits=True
        )
        torch.testing.assert_close(encoder(image), expected, rtol=1e-3, atol=1e-4)


def test_imagenet_and_the_same_weights_in_a_file_are_the_same(rgb, tmp_path, monkeypatch):
    asked = []
    create = timm.create_model

    def published(name, pretrained=False, **options):
        if not pretrained:
            return create(name, **options)
        asked.append(name)
        return rgb

    monkeypatch.setattr(timm, "create_model", published)
    downloaded = built("imagenet").backbone.state_dict()
    assert asked == ["resnet18"]
    from_file = built(saved(tmp_path, rgb.state_dict())).backbone.state_dict()
    for name, value in downloaded.items():
        assert torch.equal(value, from_file[name]), name


def test_position_embeddings_are_resized_to_the_frame(tmp_path):
    """As timm's own loading of the same file does it."""
    torch.manual_seed(0)
    path = saved(tmp_path, timm.create_model(VIT).state_dict())
    backbone = built(path, VIT).backbone
    theirs = timm.create_model(
        VIT,
        pretrained=True,
        pretrained_cfg_overlay={"file": path},
        in_chans=1,
        num_classes=0,
        img_size=(48, 64),
    )
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(backbone.state_dict()[name], value, msg=name)


@pytest.fixture(scope="module")
def dinov2():
    """DINO-v2's stand-in: patches of 14, LayerScale, RGB, frames of 518; random weights."""
    torch.manual_seed(3)
    vit = timm.create_model("vit_small_patch14_dinov2", num_classes=0)
    for name, parameter in vit.named_parameters():
        if name.endswith("gamma"):
            torch.nn.init.uniform_(parameter, 0.2, 1.5)
    return vit.eval()


@pytest.fixture(scope="module")
def from_dinov2(dinov2):
    """An encoder that starts from the stand-in, and which model was asked for."""
    create, asked = timm.create_model, []

    def published(name, pretrained=False, **options):
        if not pretrained:
            return create(name, **options)
        asked.append(name)
        return dinov2

    with mock.patch("timm.create_model", published):
        return built("dinov2", "vit_small_patch16_224", (224, 192)).backbone, asked


def test_layer_scale_goes_into_the_layer_before(dinov2, from_dinov2):
    """From tokens on, the network computes what DINO-v2's does."""
    backbone, asked = from_dinov2
    assert asked == ["vit_small_patch14_dinov2.lvd142m"]
    tokens = torch.randn(2, 10, 384)
    with torch.no_grad():
        expected = dinov2.norm(dinov2.blocks(tokens))
        torch.testing.assert_close(backbone.norm(backbone.blocks(tokens)), expected)
    assert torch.equal(backbone.cls_token, dinov2.cls_token)


def test_patches_and_positions_are_resampled(dinov2, from_dinov2):
    """A patch of one grey level means the same at any size (Beyer et al. 2023, FlexiViT)."""
    backbone, _ = from_dinov2
    kernels = backbone.patch_embed.proj.weight
    assert kernels.shape == (384, 1, 16, 16)
    expected = dinov2.patch_embed.proj.weight.sum((1, 2, 3))
    torch.testing.assert_close(kernels.sum((1, 2, 3)), expected, rtol=1e-3, atol=1e-3)
    expected = resample_abs_pos_embed(dinov2.pos_embed, [14, 12], num_prefix_tokens=1)
    torch.testing.assert_close(backbone.pos_embed, expected)


def test_the_file_of_dinov2_does_the_same(dinov2, from_dinov2, tmp_path):
    """As the message tells who has no network."""
    path = saved(tmp_path, dinov2.state_dict())
    backbone = built(path, "vit_small_patch16_224", (224, 192)).backbone
    for name, value in from_dinov2[0].state_dict().items():
        assert torch.equal(backbone.state_dict()[name], value), name


def test_the_papers_vit_starts_from_dinov2_of_its_size():
    encoder = experiment("paper", "padchest").pretraining.dino.encoder
    assert encoder.pretrained == "dinov2"
    name = initial_weights.dinov2_of(encoder.architecture)
    with torch.device("meta"):
        wanted = build_encoder(encoder.model_copy(update={"pretrained": None}), (224, 224))
        given = timm.create_model(name, num_classes=0)
    assert given.blocks[11].mlp.fc2.weight.shape == wanted.backbone.blocks[11].mlp.fc2.weight.shape
    assert timm.get_pretrained_cfg(name).has_weights


@pytest.mark.parametrize("architecture", ["resnet-slim", "vit-slim"])
def test_own_encoder_files_can_be_started_from(architecture, tmp_path):
    torch.manual_seed(1)
    encoder = build_encoder(EncoderOptions(architecture=architecture), (32, 48))
    path = saved(tmp_path, encoder.state_dict())
    again = built(path, architecture, (32, 48))
    for name, value in encoder.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_counters_of_normalisations_may_be_absent(rgb, tmp_path):
    state = {name: value for name, value in rgb.state_dict().items() if "num_batches" not in name}
    assert built(saved(tmp_path, state)).backbone.bn1.num_batches_tracked == 0


def test_what_does_not_fit_is_listed(rgb, tmp_path):
    state = dict(rgb.state_dict())
    del state["bn1.bias"]
    state["layer5.weight"] = torch.zeros(2)
    state["layer1.0.conv1.weight"] = torch.zeros(64, 32, 3, 3)
    with pytest.raises(ValueError) as caught:
        built(saved(tmp_path, state))
    message = str(caught.value)
    for words in (
        "weights.safetensors",
        "'resnet18'",
        "missing bn1.bias",
        "unknown layer5.weight",
        "layer1.0.conv1.weight is (64, 32, 3, 3) instead of (64, 64, 3, 3)",
    ):
        assert words in message
    with pytest.raises(ValueError, match=r"and \d+ more"):
        built(saved(tmp_path, {"odd": torch.zeros(1)}))


def test_positions_of_an_unknown_grid_are_refused(tmp_path):
    state = dict(timm.create_model(VIT).state_dict())
    state["pos_embed"] = torch.zeros(1, 1 + 15, 192)
    with pytest.raises(ValueError, match=r"pos_embed is \(1, 16, 192\) instead of \(1, 13, 192\)"):
        built(saved(tmp_path, state), VIT)


def test_relative_paths_start_at_the_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert weights_file("any", "weights/a.safetensors") == ROOT / "weights" / "a.safetensors"
    assert (ROOT / "pyproject.toml").is_file()
    assert weights_file("any", str(tmp_path / "a.safetensors")) == tmp_path / "a.safetensors"


def test_files_that_are_absent_or_something_else_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors does not exist.*null"):
        built("nowhere.safetensors")
    pickled = tmp_path / "weights.safetensors"
    torch.save({"conv1.weight": torch.zeros(1)}, pickled)
    with pytest.raises(ValueError, match="is not a safetensors file"):
        built(str(pickled))
    for other in ("weights.pth", "ImageNet"):
        with pytest.raises(ValidationError, match=f"'{other}' is neither"):
            EncoderOptions(pretrained=other)


def test_without_the_network_the_error_says_how_to_get_the_weights(monkeypatch):
    create = timm.create_model

    def offline(name, pretrained=False, **options):
        if pretrained:
            raise ConnectionError("no route to host")
        return create(name, **options)

    monkeypatch.setattr(initial_weights.timm, "create_model", offline)
    with pytest.raises(OSError) as caught:
        built("imagenet")
    words = ("no route to host", "timm/resnet18.a1_in1k", "save_file", "pretrained: null")
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("source", "architecture", "message"),
    [
        ("imagenet", "resnet-slim", "has no weights of 'resnet-slim'"),
        ("dinov2", "resnet18", "no weights for 'resnet18'.*vit_base_patch16"),
        ("dinov2", VIT, f"no weights for '{VIT}'.*vit_base_patch16"),
    ],
)
def test_architectures_without_published_weights_are_named(source, architecture, message):
    with pytest.raises(ValueError, match=message):
        built(source, architecture)
