"""What bfloat16 and torch.compile gain: seconds per step of each network, side by side.

    python benchmarks/faster.py [quick|paper]

A step is a forward pass and its gradients on noise, as in training: the encoder of SimCLR, that of
DINO-v2, and the HVAE, of profile `quick` (64 pixels) or `paper` (224, for a GPU). Printed are how
many times faster than float32 each way is, and what compiling takes before the first step.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from timing import in_turns
from torch import Tensor, nn

from ccl.compilation import SHAPES
from ccl.devices import fastest_device
from ccl.encoders.encoder import build_encoder
from ccl.encoders.options import EncoderOptions
from ccl.generator.blocks import Block
from ccl.generator.hvae import HVAE
from companion.experiments import config
from companion.experiments.config import Experiment

COHORTS = {"quick": "phantom-chest", "paper": "padchest"}
ROUNDS = 5
PARENTS = {"scanner": 3, "sex": 2}
DEVICE = fastest_device()
Network = tuple[nn.Module, list[nn.Module], Callable[[], Tensor]]  # with its parts and its loss


def encoder(options: EncoderOptions, size: int, images: int) -> Network:
    """A backbone on noise; of a transformer, each block is a part."""
    untrained = options.model_copy(update={"pretrained": None})
    network = build_encoder(untrained, (size, size)).to(DEVICE, memory_format=torch.channels_last)
    x = torch.rand(images, 1, size, size, device=DEVICE)
    parts = cast(list[nn.Module], list(getattr(network.backbone, "blocks", [network.backbone])))
    return network, parts, lambda: network(x).float().square().mean()


def generator(experiment: Experiment, size: int) -> Network:
    """The HVAE on noise; each block is a part."""
    options = experiment.generator
    hvae = HVAE(options.hvae, PARENTS, size, size).to(DEVICE)
    n = options.batch_size
    x = torch.randint(0, 256, (n, 1, size, size), device=DEVICE) / 127.5 - 1
    parents = {name: torch.randint(0, k, (n,), device=DEVICE) for name, k in PARENTS.items()}

    def loss() -> Tensor:
        elbo = hvae.elbo(x, parents)
        return elbo.nll + elbo.kl

    return hvae, [part for part in hvae.modules() if isinstance(part, Block)], loss


def step(network: Network, *, half: bool) -> None:
    """A forward pass and its gradients."""
    module, _, loss = network
    module.zero_grad()
    with torch.autocast(DEVICE.type, torch.bfloat16, half):
        made = loss()
    made.backward()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def main(profile: str) -> None:
    """Prints a row per network and way."""
    experiment = config.experiment(profile, COHORTS[profile], ".")
    size = experiment.generator.hvae.stages[0].resolution * experiment.generator.hvae.unshuffle
    of = experiment.pretraining
    networks: dict[str, Callable[[], Network]] = {
        "SimCLR's encoder": partial(encoder, of.simclr.encoder, size, 2 * of.simclr.batch_size),
        "DINO-v2's encoder": partial(encoder, of.dino.encoder, size, 2 * of.dino.batch_size),
        "HVAE": partial(generator, experiment, size),
    }
    device = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "CPU"
    print(f"profile {profile}, {size} pixels, {device}, {torch.get_num_threads()} threads")
    for name, build in networks.items():
        plain, compiled = build(), build()
        for part in compiled[1]:
            part.compile(recompile_limit=SHAPES)
        waited = []
        for half in (False, True):
            start = time.perf_counter()
            step(compiled, half=half)
            waited.append(time.perf_counter() - start)
        ways = [
            partial(step, network, half=half)
            for network in (plain, compiled)
            for half in (False, True)
        ]
        base, *others = in_turns(ways, ROUNDS)
        print(f"{name}: {base:.3f} s per step in float32")
        for way, seconds in zip(("bfloat16", "compiled", "both"), others, strict=True):
            print(f"  {way:<9} {base / seconds:5.2f} times as fast")
        print(f"  compiling took {waited[0]:.0f} s in float32, {waited[1]:.0f} s more in bfloat16")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "quick")
