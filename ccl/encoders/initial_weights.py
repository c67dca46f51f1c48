"""Published or own weights that a backbone starts from, from the network or a local file."""

import math
import re
from pathlib import Path
from typing import cast

import timm
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers import resample_abs_pos_embed, resample_patch_embed
from timm.models import adapt_input_conv
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from ccl.encoders.options import DINOV2, LEAVES, PUBLISHED, ROOT, SLIM, VIT_SLIM, weights_file

Weights = dict[str, Tensor]


def load_initial_weights(backbone: nn.Module, architecture: str, pretrained: str) -> None:
    """Puts initial weights into a backbone of one-channel images.

    The kernels of an RGB stem are added up over its channels, patch embeddings are resampled to the
    size of a patch, position embeddings of a square grid are interpolated to the frame's, factors
    of layers (LayerScale) that the backbone lacks go into the layer before, and a classifier in the
    weights is ignored.

    Args:
        backbone: of the architecture; receives the weights.
        architecture, pretrained: as in `EncoderOptions`.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: published weights cannot be had; the message says how to get them.
        ValueError: the weights do not fit; the message lists what.
    """
    if pretrained in PUBLISHED:
        weights = _published(architecture, pretrained)
    else:
        weights = _from_file(weights_file(architecture, pretrained))
    _fit(backbone, weights, f"encoder.pretrained '{pretrained}', architecture '{architecture}'")


def _published(architecture: str, pretrained: str) -> Weights:
    """The weights that timm has of an architecture, or DINO-v2's of a ViT as large."""
    name = dinov2_of(architecture) if pretrained == DINOV2 else architecture
    published = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if published is None or not published.has_weights:
        raise ValueError(
            f"encoder.pretrained '{pretrained}': timm {timm.__version__} has no weights of "
            f"'{name}'; name a safetensors file, or set `pretrained: null`"
        )
    try:
        return dict(timm.create_model(name, pretrained=True).state_dict())
    except Exception as error:  # whatever the libraries that download it raise
        raise OSError(
            f"encoder.pretrained '{pretrained}': the weights of '{name}' cannot be had "
            f"({type(error).__name__}: {error}). Let this machine reach huggingface.co; or get "
            f"model.safetensors of {published.hf_hub_id or published.url} elsewhere, or write it "
            "there with `safetensors.torch.save_file(timm.create_model("
            f"'{name}', pretrained=True).state_dict(), 'model.safetensors')`, and set "
            "`pretrained` to the file's path; or start from random weights: `pretrained: null`"
        ) from error


def dinov2_of(architecture: str) -> str:
    """The DINO-v2 model of a ViT's size, e.g. of 'vit_base_patch16_224'.

    Source: Oquab et al., DINOv2, TMLR 2024, https://arxiv.org/abs/2304.07193
    """
    size = re.match(r"vit_(small|base|large)_patch", architecture)
    if size is None:
        raise ValueError(
            f"encoder.pretrained '{DINOV2}': DINO-v2 has no weights for '{architecture}', but for "
            "ViTs such as 'vit_base_patch16_224' (small, base, large); name one of these, or set "
            "`pretrained: null`"
        )
    return f"vit_{size[1]}_patch14_dinov2.lvd142m"


def _from_file(path: Path) -> Weights:
    if not path.is_file():
        raise FileNotFoundError(
            f"encoder.pretrained: {path} does not exist; give a path that is absolute or seen "
            f"from {ROOT}, or set `pretrained: null`; '{LEAVES}' has weights for '{SLIM}' and "
            f"'{VIT_SLIM}' alone"
        )
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"encoder.pretrained: {path} is not a safetensors file ({error}); other formats may "
            "run code when opened, so save the weights with `safetensors.torch.save_file`"
        ) from error
    prefix = "backbone."  # in the files of the pretraining step
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items()}


def _fit(backbone: nn.Module, weights: Weights, source: str) -> None:
    """Loads weights after checking all names and shapes."""
    expected = backbone.state_dict()
    given = _without_layer_scale(_without_classifier(backbone, weights), expected)
    fitted = {name: _adapted(backbone, name, tensor, expected) for name, tensor in given.items()}
    # Files of some publishers lack the normalisations' counters, which nothing needs.
    missing = {name for name in expected if not name.endswith("num_batches_tracked")} - set(fitted)
    faults = [f"missing {name}" for name in sorted(missing)]
    faults += [f"unknown {name}" for name in sorted(set(fitted) - set(expected))]
    faults += [
        f"{name} is {tuple(given[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in sorted(set(fitted) & set(expected))
        if fitted[name].shape != expected[name].shape
    ]
    if faults:
        listed = "\n".join(f"  {fault}" for fault in faults[:10])
        rest = f"\n  and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise ValueError(f"{source}: the weights do not fit:\n{listed}{rest}")
    backbone.load_state_dict(expected | fitted)


def _without_classifier(backbone: nn.Module, weights: Weights) -> Weights:
    config = getattr(backbone, "pretrained_cfg", None) or {}
    names = config.get("classifier") or ("fc", "head")  # of ResNets, of ViTs
    prefixes = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
    return {name: tensor for name, tensor in weights.items() if not name.startswith(prefixes)}


def _without_layer_scale(weights: Weights, expected: Weights) -> Weights:
    """Factors of a branch's output, LayerScale, multiplied into the layer that makes it.

    gamma (W x + b) = (gamma W) x + gamma b, so nothing of what the network computes changes.
    """
    folded = dict(weights)
    for name in [name for name in weights if name.endswith(".gamma") and name not in expected]:
        block, _, scale = name.removesuffix(".gamma").rpartition(".")
        layer = f"{block}." + {"ls1": "attn.proj", "ls2": "mlp.fc2"}.get(scale, scale)
        parts = [f"{layer}.weight", f"{layer}.bias"]
        if all(part in weights for part in parts):
            gamma = folded.pop(name)
            folded[parts[0]] = gamma[:, None] * weights[parts[0]]
            folded[parts[1]] = gamma * weights[parts[1]]
    return folded


def _adapted(backbone: nn.Module, name: str, tensor: Tensor, expected: Weights) -> Tensor:
    """A stem or position embeddings in the shape that the backbone wants; all else as it is."""
    shape = expected[name].shape if name in expected else tensor.shape
    if tensor.ndim == 4 and tensor.shape[1] == 3 and shape[1] == 1:
        tensor = adapt_input_conv(1, tensor)
    if name == "patch_embed.proj.weight" and tensor.shape[2:] != shape[2:]:
        return cast(Tensor, resample_patch_embed(tensor, list(shape[2:])))
    if name == "pos_embed" and tensor.shape != shape and isinstance(backbone, VisionTransformer):
        return _resized_positions(backbone, tensor)
    return tensor


def _resized_positions(vit: VisionTransformer, positions: Tensor) -> Tensor:
    """Position embeddings (1, prefix + P, width) of a square grid on the grid of a ViT."""
    prefix = 0 if vit.no_embed_class else vit.num_prefix_tokens  # e.g. the class token
    if math.isqrt(positions.shape[1] - prefix) ** 2 != positions.shape[1] - prefix:
        return positions  # of which grid they are cannot be known
    grid = cast(tuple[int, int], vit.patch_embed.grid_size)
    return resample_abs_pos_embed(positions, list(grid), num_prefix_tokens=prefix)
