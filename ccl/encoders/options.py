"""Options of an encoder: which backbone is pretrained, in a module that loads no torch."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from ccl.options import Options

ROOT = Path(__file__).parents[2]
SLIM = "resnet-slim"
VIT_SLIM = "vit-slim"
IMAGENET = "imagenet"
DINOV2 = "dinov2"
LEAVES = "leaves"
PUBLISHED = (IMAGENET, DINOV2)  # weights that timm knows where to get


class VitOptions(Options):
    """Size of 'vit-slim': pixels of a patch's side, width of tokens, blocks, heads of attention."""

    patch: int = Field(default=8, ge=1)
    width: int = Field(default=96, ge=1)
    depth: int = Field(default=4, ge=1)
    heads: int = Field(default=3, ge=1)


class EncoderOptions(Options):
    """Which backbone is pretrained.

    Attributes:
        architecture: 'resnet-slim' (below), 'vit-slim' (`ccl.encoders.vit`), or any timm name,
            e.g. 'resnet50' or 'vit_base_patch16_224'.
        stem_stride: of 'resnet-slim' only: the stem's downsampling. 4 is twice as fast; 2 keeps
            maps of 32x32 for the first blocks of a 64-pixel image.
        vit: of 'vit-slim' only: its size.
        pretrained: weights to start from: 'imagenet', timm's for the architecture, or 'dinov2',
            DINO-v2's for a ViT of its size, both of which need the network once; 'leaves', this
            package's for 'resnet-slim' and 'vit-slim' (patch 8, width 64, depth 3, heads 2), taught
            on dead leaves (`make initial-weights`); the path of a safetensors file, absolute or
            seen from the repository, with timm's names; or None for random weights.
        features: what is probed of a ViT: 'class', its class token, or 'class+patches', with the
            mean patch token beside it, as DINO-v2's linear evaluation has it
            (https://arxiv.org/abs/2304.07193, section B.3).
    """

    architecture: str = Field(default=SLIM, min_length=1)
    stem_stride: Literal[2, 4] = 4
    vit: VitOptions = VitOptions()
    pretrained: str | None = None
    features: Literal["class", "class+patches"] = "class"

    @field_validator("pretrained")
    @classmethod
    def _is_published_or_safetensors(cls, value: str | None) -> str | None:
        named = (None, LEAVES, *PUBLISHED)
        if value not in named and not str(value).endswith(".safetensors"):
            raise ValueError(
                f"'{value}' is neither '{IMAGENET}' nor '{DINOV2}' nor '{LEAVES}' nor a "
                ".safetensors file nor null; other formats may run code when opened"
            )
        return value


def weights_file(architecture: str, pretrained: str) -> Path:
    """The file that `EncoderOptions.pretrained` names, unless the weights are published ones."""
    if pretrained == LEAVES:
        return Path(__file__).parent / LEAVES / f"{architecture}.safetensors"
    return ROOT / pretrained
