"""Training at the paper's scale: images/s, memory and the loss, on synthetic images of 224 pixels.

    python benchmarks/paper_scale.py simclr|dino|generator [steps] [folder]

Through the real training loop with the options of profile `paper` for PadChest: SimCLR with
ResNet-50 (batches of 256), DINO-v2 with ViT-B (60), the full HVAE (32). Images are chest phantoms,
so the loss is one of learning. Encoders start untrained, because no weights are asked for. The loss
of every ten steps is written to `<folder>/<what>.csv`. Meant for a GPU; a processor needs hours.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from threading import Event, Thread

import numpy as np
import pandas as pd
import psutil
import torch
from peaks import watched

from ccl.encoders.encoder import build_encoder
from ccl.generator import training
from ccl.objectives.batches import PairBatches
from ccl.objectives.dino import Dino
from ccl.objectives.dino_options import DinoOptions
from ccl.objectives.simclr import SimCLR
from ccl.pairs import Pairs
from ccl.trainer import fit
from companion.cohorts import registry
from companion.cohorts.cohort import Cohort
from companion.cohorts.simulation.phantom_chest import PhantomChestOptions
from companion.experiments import config

PAPER = config.experiment("paper", "padchest", ".")
SIZE, IMAGES, TOGETHER = 224, 2048, 10  # steps that are timed together


def generator(images: Cohort, epochs: int, folder: Path) -> tuple[pd.DataFrame, int]:
    """History of the full HVAE's training, and its batch size."""
    options = PAPER.generator.model_copy(update={"epochs": epochs, "max_steps": TOGETHER})
    return training.train(images, options, folder)[1], options.batch_size


def encoder(objective: str, images: Cohort, epochs: int, folder: Path) -> tuple[pd.DataFrame, int]:
    """History of an encoder's pretraining on real pairs, and its batch size."""
    options = PAPER.pretraining.options(objective)
    changed: dict[str, object] = {"epochs": epochs, "max_steps": TOGETHER}
    if isinstance(options, DinoOptions):  # as long a warm-up, and no verdict on so few steps
        changed["warmup_epochs"] = epochs * options.warmup_epochs // options.epochs
        changed["collapse"] = options.collapse.model_copy(update={"largest_loss": 10.0})
    options = options.model_copy(update=changed)
    untrained = options.encoder.model_copy(update={"pretrained": None})
    torch.manual_seed(0)
    network = build_encoder(untrained, (SIZE, SIZE))
    batches = PairBatches(
        Pairs("standard", images.images),
        images.rows("train", "pretraining"),
        batch_size=options.batch_size,
        seed=0,
        max_steps=TOGETHER,
    )
    module = {"simclr": SimCLR, "dino": Dino}[objective](
        network, options, seed=0, steps_per_epoch=len(batches)
    )
    history = fit(module, batches, epochs=epochs, folder=folder, seed=0)
    return history, options.batch_size


TRAININGS: dict[str, Callable[[Cohort, int, Path], tuple[pd.DataFrame, int]]] = {
    "generator": generator,
    "simclr": lambda *rest: encoder("simclr", *rest),
    "dino": lambda *rest: encoder("dino", *rest),
}


def busy_meanwhile(samples: list[float], done: Event) -> None:
    """How busy the GPU says it is, in percent, about once a second."""
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    while not done.wait(1):
        said = subprocess.run(command, capture_output=True, text=True).stdout.split()
        samples += [float(word) for word in said[:1]]


def memory() -> tuple[int, ...]:
    """Bytes: of the GPU that tensors take, or of the process where there is none."""
    if torch.cuda.is_available():
        return (torch.cuda.max_memory_reserved(),)
    return (psutil.Process().memory_info().rss,)


def main(what: str, steps: int, folder: Path) -> None:
    """Trains and prints a row."""
    epochs = max(2, steps // TOGETHER)
    samples: list[float] = []
    done = Event()
    with tempfile.TemporaryDirectory() as made:
        options = PhantomChestOptions(size=SIZE, n_train=IMAGES, n_val=3, n_test_per_scanner=1)
        images = registry.build(options, None, Path(made) / "cohort")
        watcher = Thread(target=busy_meanwhile, args=(samples, done))
        if torch.cuda.is_available() and shutil.which("nvidia-smi"):
            watcher.start()
        try:
            trained, peaks = watched(
                memory, lambda: TRAININGS[what](images, epochs, Path(made) / "training")
            )
        finally:
            done.set()
    history, batch_size = trained
    folder.mkdir(parents=True, exist_ok=True)
    history.to_csv(folder / f"{what}.csv", index=False)
    rate = TOGETHER * batch_size / float(np.median(history["seconds"].iloc[1:]))
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    loss = history["loss"]
    print(f"{what} on {device}: {rate:.1f} images/s, {peaks[0] / 2**30:.1f} GiB", end="")
    print(f", loss {loss.iloc[0]:.4g} to {loss.iloc[-1]:.4g} in {len(history) * TOGETHER} steps")
    if samples:
        print(f"GPU busy: {mean(samples):.0f} % on average")


if __name__ == "__main__":
    main(
        sys.argv[1],
        int(sys.argv[2]) if len(sys.argv) > 2 else 500,
        Path(sys.argv[3]) if len(sys.argv) > 3 else Path("runs/paper-scale"),
    )
