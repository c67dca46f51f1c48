import pytest
import torch

from ccl.encoders.encoder import EncoderOptions, build_encoder, standardise
from ccl.encoders.vit import VitOptions, as_vit, grid_of, tokens, vit_slim

SMALL = {"patch": 8, "width": 12, "depth": 2, "heads": 3}


def encoder(size=(32, 48), **changed):
    torch.manual_seed(0)
    vit = VitOptions(**(SMALL | changed))
    return build_encoder(EncoderOptions(architecture="vit-slim", vit=vit), size).eval()


def test_pooled_features_are_the_class_token():
    built, image = encoder(), torch.rand(3, 1, 32, 48)
    class_token, patch = tokens(built.backbone, standardise(image))
    assert patch.shape == (3, 24, 12)
    torch.testing.assert_close(built(image), class_token)


def test_patches_lie_in_rows():
    """Without blocks, a bright patch changes its own token only."""
    built = encoder()
    built.backbone.blocks = torch.nn.Sequential()
    dark = torch.zeros(1, 1, 32, 48)
    bright = dark.clone()
    bright[:, :, 8:16, 40:48] = 1
    changed = tokens(built.backbone, bright)[1] != tokens(built.backbone, dark)[1]
    assert changed.any(2)[0].nonzero().flatten().tolist() == [1 * 6 + 5]


@pytest.mark.parametrize(
    ("name", "value", "measure"),
    [
        ("patch", 16, lambda vit: vit.patch_embed.patch_size[0]),
        ("width", 24, lambda vit: vit.embed_dim),
        ("depth", 1, lambda vit: len(vit.blocks)),
        ("heads", 2, lambda vit: vit.blocks[0].attn.num_heads),
    ],
)
def test_options_reach_the_backbone(name, value, measure):
    assert measure(encoder(**{name: value}).backbone) == value
    assert measure(encoder().backbone) == SMALL[name]


def spread(built):
    """Mean of 1 - cosine of the class tokens of different images."""
    coarse = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = built(torch.nn.functional.interpolate(coarse, (64, 64)))
    unit = torch.nn.functional.normalize(features, dim=1)
    return (32 * 32 - (unit @ unit.T).sum().item()) / (32 * 31)


@pytest.mark.parametrize("width", [12, 96])
def test_class_tokens_start_further_apart_than_with_timms_default_weights(width):
    built = encoder((64, 64), width=width)
    xavier = spread(built)
    for layer in built.modules():
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.trunc_normal_(layer.weight, std=0.02)
    assert xavier > 2 * spread(built)


def test_masked_patches_are_hidden():
    built, mask_token = encoder(), torch.randn(1, 1, 12)
    masks = torch.zeros(2, 24, dtype=torch.bool)
    masks[0, 7] = True  # row 1, column 1
    image = torch.rand(2, 1, 32, 48)
    other = image.clone()
    other[:, :, 8:16, 8:16] = 0
    seen, changed = (tokens(built.backbone, x, masks, mask_token) for x in (image, other))
    for part in (0, 1):  # class token, patches
        torch.testing.assert_close(seen[part][0], changed[part][0])
        assert not torch.equal(seen[part][1], changed[part][1])
    assert not torch.equal(seen[1][0], tokens(built.backbone, image)[1][0])


def test_masked_patches_keep_their_places():
    built, mask_token = encoder(), torch.randn(1, 1, 12)
    everything = torch.ones(1, 24, dtype=torch.bool)
    _, patch = tokens(built.backbone, torch.rand(1, 1, 32, 48), everything, mask_token)
    assert len(torch.unique(patch[0], dim=0)) == 24


def test_vit_b16_at_224_is_timms():
    """Shapes only: nothing is allocated or computed."""
    with torch.device("meta"):
        built = build_encoder(EncoderOptions(architecture="vit_base_patch16_224"), (224, 224))
        vit = as_vit(built.backbone, "vit_base_patch16_224")
        for side, patches in [(224, 196), (96, 36)]:
            class_token, patch = tokens(vit, torch.rand(2, 1, side, side))
            assert class_token.shape == (2, 768)
            assert patch.shape == (2, patches, 768)
    assert built.width == 768
    assert grid_of(vit, (224, 192)) == (14, 12)
    # ViT-B/16 without classifier has 85.8 million parameters, 0.4 less with one channel.
    assert sum(p.numel() for p in vit.parameters()) == 85_798_656 - 2 * 768 * 256


@pytest.mark.parametrize(
    ("changed", "size", "message"),
    [
        ({"heads": 5}, (32, 32), "heads = 5 must divide width = 12"),
        ({}, (32, 36), "patches of 8 pixels do not tile"),
    ],
)
def test_senseless_sizes_are_refused(changed, size, message):
    with pytest.raises(ValueError, match=message):
        vit_slim(VitOptions(**(SMALL | changed)), size)
