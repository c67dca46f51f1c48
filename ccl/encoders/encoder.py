"""The encoder that every objective pretrains: a timm backbone on one-channel images.

timm is imported where a backbone is built: it takes seconds, which steps without one are spared.
"""

from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from ccl.encoders.options import SLIM, VIT_SLIM, EncoderOptions

SLIM_BLOCKS = (1, 1, 1, 1)
SLIM_CHANNELS = (24, 48, 96, 192)


class Encoder(nn.Module):
    """A backbone that turns images into feature vectors.

    Attributes:
        backbone: the timm model, without classifier.
        width: length of what is trained, `forward`.
        probed_width: length of what is probed, `features`.
    """

    def __init__(self, backbone: nn.Module, width: int, *, patch_tokens: bool = False) -> None:
        super().__init__()
        self.backbone, self.width, self.patch_tokens = backbone, width, patch_tokens
        self.probed_width = 2 * width if patch_tokens else width

    def forward(self, image: Tensor) -> Tensor:
        """Pooled features (n, width), of a ViT its class token, of images (n, 1, H, W) in [0, 1].

        They are standardised here, so that training and evaluation cannot differ in it.
        """
        features: Tensor = self.backbone(standardise(image))
        return features

    def features(self, image: Tensor) -> Tensor:
        """Features for probes and maps, (n, probed_width); see `EncoderOptions.features`."""
        if not self.patch_tokens:
            return cast(Tensor, self(image))
        from ccl.encoders.vit import as_vit, tokens

        class_token, patches = tokens(as_vit(self.backbone, "the encoder"), standardise(image))
        return torch.cat([class_token, patches.mean(dim=1)], dim=1)


def standardise(image: Tensor) -> Tensor:
    """Pixels in [0, 1] as a backbone's input, near mean 0 and variance 1."""
    return (image - 0.5) * 4


def build_encoder(options: EncoderOptions, image_size: tuple[int, int]) -> Encoder:
    """An encoder for images of (height, width) pixels, with its initial weights.

    Raises:
        ValueError: timm has no model of that name, or the initial weights do not fit it.
        OSError: the initial weights cannot be had.
    """
    from ccl.encoders.initial_weights import load_initial_weights

    encoder = _random_encoder(options, image_size)
    if options.pretrained is not None:
        load_initial_weights(encoder.backbone, options.architecture, options.pretrained)
    return encoder


def _random_encoder(options: EncoderOptions, image_size: tuple[int, int]) -> Encoder:
    from ccl.encoders.vit import as_vit, vit_slim

    patch_tokens = options.features == "class+patches"
    if options.architecture == VIT_SLIM:
        vit = vit_slim(options.vit, image_size)
        return Encoder(vit, options.vit.width, patch_tokens=patch_tokens)
    if options.architecture == SLIM:
        backbone, width = resnet_slim(options.stem_stride), SLIM_CHANNELS[-1]
    else:
        backbone = _timm_backbone(options.architecture, image_size)
        width = cast(int, backbone.num_features)
    if patch_tokens:
        as_vit(backbone, options.architecture)  # others have none
    return Encoder(backbone, width, patch_tokens=patch_tokens)


def resnet_slim(stem_stride: Literal[2, 4]) -> nn.Module:
    """A ResNet-10 of narrow layers for images near 64 pixels.

    ImageNet's stem (7x7 convolution of 64 channels, then pooling) blurs a small image and takes
    half of a narrow network's time; here the stem is a 3x3 convolution as wide as the first
    layer.
    """
    import timm
    from timm.models.resnet import BasicBlock

    width = SLIM_CHANNELS[0]
    model: nn.Module = timm.models.ResNet(
        cast(Any, BasicBlock),  # timm's annotation asks for an instance
        SLIM_BLOCKS,
        num_classes=0,
        in_chans=1,
        channels=SLIM_CHANNELS,
    )
    stem = {
        "conv1": nn.Conv2d(1, width, 3, stride=2, padding=1, bias=False),
        "bn1": nn.BatchNorm2d(width),
        "maxpool": nn.MaxPool2d(3, stride=2, padding=1) if stem_stride == 4 else nn.Identity(),
        "layer1": nn.Sequential(BasicBlock(width, width)),  # timm's takes 64 channels
    }
    for name, module in stem.items():
        setattr(model, name, module)
    cast(Any, model).init_weights()
    return model


def _timm_backbone(name: str, image_size: tuple[int, int]) -> nn.Module:
    import timm

    if not timm.is_model(name):
        raise ValueError(
            f"architecture '{name}' is neither '{SLIM}' nor '{VIT_SLIM}' nor known to timm "
            f"{timm.__version__}; timm.list_models() lists its names"
        )
    default = timm.get_pretrained_cfg(name, allow_unregistered=True)
    # Transformers with position embeddings must know the frame when they are built.
    sized = default is not None and default.fixed_input_size
    size: dict[str, Any] = {"img_size": image_size} if sized else {}
    if timm.models.is_model_in_modules(name, ["vision_transformer"]):
        size["dynamic_img_size"] = True  # crops of other sizes interpolate the positions
    return timm.create_model(name, pretrained=False, in_chans=1, num_classes=0, **size)
