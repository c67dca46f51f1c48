"""The network that DINO-v2 trains: encoder, mask token and heads."""

from typing import Any, cast

import torch
from timm.layers import DropPath
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from ccl.encoders.encoder import Encoder, standardise
from ccl.encoders.vit import tokens
from ccl.objectives.dino_head import DinoHead
from ccl.objectives.dino_options import HeadOptions


class DinoNetwork(nn.Module):
    """Student or teacher: encoder, mask token, head of class tokens, and of patches if separate."""

    def __init__(self, encoder: Encoder, head: HeadOptions, *, separate_heads: bool) -> None:
        """Fresh heads on an encoder whose backbone is a ViT (`ccl.encoders.vit.as_vit`)."""
        super().__init__()
        self.encoder = encoder
        self.mask_token = nn.Parameter(torch.zeros(1, 1, encoder.width))  # of a hidden patch
        self.head = DinoHead(encoder.width, head)
        self.patch_head = DinoHead(encoder.width, head) if separate_heads else None

    @property
    def backbone(self) -> VisionTransformer:
        """The encoder's ViT."""
        return cast(VisionTransformer, self.encoder.backbone)

    def tokens(self, image: Tensor, masks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Class tokens (n, width) and patch tokens (n, P, width) of images in [0, 1]."""
        return tokens(self.backbone, standardise(image), masks, self.mask_token)

    def logits(self, class_token: Tensor, patch: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, K) and (M, K) of class tokens (n, width) and of patches (M, width)."""
        if self.patch_head is None:
            together = self.head(torch.cat([class_token, patch]))
            return together[: len(class_token)], together[len(class_token) :]
        return self.head(class_token), self.patch_head(patch)

    def parts(self) -> list[list[nn.Parameter]]:
        """Parameters of the backbone and of each head, whose gradients are clipped one by one."""
        heads = [self.head] if self.patch_head is None else [self.head, self.patch_head]
        backbone = [*self.encoder.parameters(), self.mask_token]
        return [backbone, *(list(head.parameters()) for head in heads)]


def drop_blocks(backbone: VisionTransformer, probability: float) -> None:
    """Leaves out each branch of each block with one probability, while training."""
    for block in cast(Any, backbone.blocks):
        block.drop_path1, block.drop_path2 = DropPath(probability), DropPath(probability)


def layer_groups(
    network: DinoNetwork, layer_decay: float, patch_factor: float
) -> list[dict[str, Any]]:
    """Parameters in groups that share learning rate and weight decay.

    Embeddings are layer 0, block i is layer i + 1, and the last normalisation and the heads are
    the top layer, whose learning rate has the factor 1.

    Returns:
        Groups for an optimiser, with the keys `factor` (of the learning rate), `decayed` (all but
        biases and normalisations) and `last_layer` (the prototypes).

    Source:
        Bao et al., BEiT, ICLR 2022, https://arxiv.org/abs/2106.08254, as in DINO-v2.
    """
    top = len(network.backbone.blocks) + 1
    groups: dict[tuple[float, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        factor = layer_decay ** (top - _layer(name, top))
        if "patch_embed" in name:
            factor *= patch_factor
        key = (factor, parameter.ndim > 1, "last_layer" in name)
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "factor": factor, "decayed": decayed, "last_layer": last_layer}
        for (factor, decayed, last_layer), parameters in groups.items()
    ]


def _layer(name: str, top: int) -> int:
    within = name.removeprefix("encoder.backbone.")
    if within.startswith("blocks."):
        return int(within.split(".")[1]) + 1
    # The last normalisation is called `norm`; all else outside the blocks embeds.
    is_head = within == name and name != "mask_token"
    return top if is_head or within.startswith("norm.") else 0
