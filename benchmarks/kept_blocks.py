"""What it gains on a CPU that jobs of the workflow keep large blocks of memory.

    python benchmarks/kept_blocks.py

The same work in processes with and without the two variables of `workflow/Snakefile`, in turns: the
full HVAE's abduction of images of 224 pixels, and a step of SimCLR's encoder of profile `quick`.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import psutil
import torch

from ccl.encoders.encoder import build_encoder
from ccl.generator.hvae import HVAE
from companion.experiments import config

ROUNDS, CALLS = 3, 2
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
PARENTS = {"scanner": 3, "sex": 2}


def abduction(images: int) -> Callable[[], object]:
    """The full HVAE on noise."""
    options = config.experiment("paper", "padchest", ".").generator.hvae
    hvae = HVAE(options, PARENTS, 224, 224).eval().requires_grad_(False)
    x = torch.randint(0, 256, (images, 1, 224, 224)) / 127.5 - 1
    parents = {name: torch.randint(0, k, (images,)) for name, k in PARENTS.items()}
    return lambda: hvae.abduct(x, parents)


def training(images: int) -> Callable[[], object]:
    """A forward pass of the encoder on noise, and its gradients."""
    options = config.experiment("quick", "phantom-chest").pretraining.simclr
    encoder = build_encoder(options.encoder, (64, 64)).to(memory_format=torch.channels_last)
    x = torch.rand(images, 1, 64, 64)
    return lambda: encoder(x).square().mean().backward()


WORK = {
    "full HVAE, 8 images of 224 pixels": lambda: abduction(8),
    "full HVAE, 16 images of 224 pixels": lambda: abduction(16),
    "SimCLR's encoder of `quick`, 512 views": lambda: training(512),
}


def measure(name: str) -> None:
    """Prints seconds per call, and the process's memory after them in MiB."""
    torch.set_num_threads(1)
    work = WORK[name]()
    work()
    start = time.perf_counter()
    for _ in range(CALLS):
        work()
    seconds = (time.perf_counter() - start) / CALLS
    print(seconds, psutil.Process().memory_info().rss / 2**20)


def measured(name: str, variables: dict[str, str]) -> tuple[float, float]:
    """The same of another process."""
    command = [sys.executable, __file__, name]
    environment = os.environ | variables
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seconds, memory = map(float, said.stdout.split())
    return seconds, memory


def main() -> None:
    """Prints a row for each kind of work."""
    for name in WORK:
        given_back, kept = [], []
        for _ in range(ROUNDS):
            given_back.append(measured(name, {}))
            kept.append(measured(name, KEPT))
        (before, less), (after, more) = (
            [median(column) for column in zip(*figures, strict=True)]
            for figures in (given_back, kept)
        )
        print(f"{name}: {before:.2f} s, kept {after:.2f} s, {before / after:.2f} times as fast")
        print(f"  memory after it {less:.0f} MiB, kept {more:.0f} MiB")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1])
    else:
        main()
