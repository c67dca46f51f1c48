"""Published initial weights, kept where a run lies: only the first who asks needs the network."""

from pathlib import Path

import torch

from ccl import distributed
from ccl.encoders.encoder import Encoder, build_encoder
from ccl.encoders.options import PUBLISHED, EncoderOptions
from companion.engine import storage


def architecture(options: EncoderOptions, image_size: tuple[int, int]) -> Encoder:
    """An encoder with random weights, whatever it is to start from: for weights of its own."""
    return build_encoder(options.model_copy(update={"pretrained": None}), image_size)


def starting_encoder(options: EncoderOptions, image_size: tuple[int, int], folder: Path) -> Encoder:
    """An encoder with its initial weights; what is drawn after it is the same wherever these were.

    Published weights are kept in the folder; those of a file of the user's stay there alone.

    Raises:
        ValueError, OSError: as `build_encoder`.
    """
    encoder = architecture(options, image_size)
    if options.pretrained is None:
        return encoder
    about = f"{options.architecture}-{options.pretrained}-{'x'.join(map(str, image_size))}"
    file = folder / f"{about.replace('/', '_')}.safetensors"
    published = options.pretrained in PUBLISHED
    if published and file.is_file():
        encoder.load_state_dict(storage.read_safetensors(file))
        return encoder
    from ccl.encoders.initial_weights import load_initial_weights

    with torch.random.fork_rng(devices=[]):  # loading may draw
        load_initial_weights(encoder.backbone, options.architecture, options.pretrained)
    if published and distributed.is_main_process():
        folder.mkdir(parents=True, exist_ok=True)
        storage.write_safetensors(file, encoder.state_dict())
    return encoder
