"""Vision transformers: a slim one for images near 64 pixels, and tokens of any of timm's."""

from typing import cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from ccl.encoders.options import VIT_SLIM, VitOptions


def vit_slim(options: VitOptions, image_size: tuple[int, int]) -> VisionTransformer:
    """A narrow, shallow ViT with a class token, on one-channel images.

    Position embeddings belong to the grid of `image_size` and are interpolated for crops of other
    sizes.

    Raises:
        ValueError: heads do not divide the width, or patches do not tile the image.

    Source:
        Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021,
        https://arxiv.org/abs/2010.11929
    """
    if options.width % options.heads:
        raise ValueError(f"vit: heads = {options.heads} must divide width = {options.width}")
    if any(side % options.patch for side in image_size):
        raise ValueError(
            f"vit: patches of {options.patch} pixels do not tile images of {image_size}; choose a "
            "patch that divides both sides"
        )
    return VisionTransformer(
        img_size=image_size,
        patch_size=options.patch,
        in_chans=1,
        num_classes=0,
        embed_dim=options.width,
        depth=options.depth,
        num_heads=options.heads,
        # Xavier. The usual 0.02 is made for tokens of 768: in narrow ones it lets so little of the
        # image through that all class tokens start as nearly one point.
        weight_init="jax",
        dynamic_img_size=True,
    )


def tokens(
    backbone: VisionTransformer,
    image: Tensor,
    masks: Tensor | None = None,
    mask_token: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Class token and patch tokens after the last normalisation.

    Args:
        backbone: a timm ViT that takes images of any size.
        image: (n, 1, H, W), standardised.
        masks: bool (n, P): patches that are replaced by `mask_token` before they are placed.
        mask_token: (1, 1, width); needed with masks.

    Returns:
        (n, width) and (n, P, width), patches in rows from the top left.
    """
    x = cast(Tensor, backbone.patch_embed(image))  # (n, rows, columns, width)
    if masks is not None:
        assert mask_token is not None
        hidden = masks.view(*x.shape[:3], 1)
        x = torch.where(hidden, mask_token.to(x.dtype), x)
    x = backbone._pos_embed(x)  # (n, prefix + P, width)
    x = backbone.blocks(backbone.norm_pre(backbone.patch_drop(x)))
    x = backbone.norm(x)
    return x[:, 0], x[:, backbone.num_prefix_tokens :]


def grid_of(backbone: VisionTransformer, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of patches in images of (height, width) pixels.

    Raises:
        ValueError: patches do not tile the image.
    """
    patch = cast(tuple[int, int], backbone.patch_embed.patch_size)
    if size[0] % patch[0] or size[1] % patch[1]:
        raise ValueError(
            f"patches of {patch} pixels do not tile crops of {size}; choose a size that they divide"
        )
    return size[0] // patch[0], size[1] // patch[1]


def as_vit(backbone: nn.Module, architecture: str) -> VisionTransformer:
    """The backbone, if it is a ViT with class token that takes crops of any size.

    Raises:
        ValueError: it is not.
    """
    if not (
        isinstance(backbone, VisionTransformer)
        and backbone.has_class_token
        and backbone.dynamic_img_size
    ):
        raise ValueError(
            f"encoder.architecture '{architecture}' is no vision transformer with a class token; "
            f"use '{VIT_SLIM}' or one of timm's, e.g. 'vit_base_patch16_224'"
        )
    return backbone
