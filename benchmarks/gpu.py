"""Training at the paper's scale on a GPU: images/s and memory, for the page on scaling.

    python benchmarks/gpu.py [study/gpu.json] [--small] [--parts NAME ...]

Through the real training loop (`ccl.trainer.fit`), with the options of profile `paper` for
PadChest, on noise of 224 pixels: SimCLR with ResNet-50 (batches of 256), DINO-v2 with ViT-B (60),
the full HVAE (32), each in float32 (TF32 products) and bfloat16, then compiled; the counterfactual
bank beside the published way; and the augmentation's share of a step of SimCLR. Encoders start
untrained, because no weights are asked for. A part that fails is named in the file, and the others
go on. `--small` takes the sizes of profile `quick`, for a dry run on a processor.
"""

import argparse
import json
import platform
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ccl.devices import fastest_device
from ccl.encoders.encoder import build_encoder
from ccl.generator import training
from ccl.generator.generator import Generator, counterfactuals
from ccl.generator.graph import ImageParents
from ccl.generator.hvae import HVAE
from ccl.generator.images import ImageArrays
from ccl.objectives.batches import PairBatches
from ccl.objectives.dino import Dino
from ccl.objectives.simclr import SimCLR
from ccl.pairs import Pairs
from ccl.seeding import step_generator
from ccl.trainer import History, fit
from ccl.views.augment import augment
from companion.experiments import config
from companion.experiments.config import Experiment

PARENTS = {"scanner": ("Philips", "Imaging"), "sex": ("F", "M")}
STEPS, EPOCHS = 8, 2  # of which the first epoch warms up
Row = dict[str, Any]


class Benchmark:
    """The networks of a profile, trained for a few steps on noise."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        hvae = experiment.generator.hvae
        self.size = hvae.stages[0].resolution * hvae.unshuffle
        rng = np.random.default_rng(0)
        largest = max(
            experiment.pretraining.simclr.batch_size, experiment.pretraining.dino.batch_size
        )
        shape = (largest * STEPS, self.size, self.size)
        self.images = rng.integers(0, 256, shape, dtype=np.uint8)

    def encoder(self, objective: str, changes: dict[str, Any]) -> Row:
        """SimCLR or DINO-v2 on real pairs."""
        options: Any = self.experiment.pretraining.options(objective)
        if objective == "dino":  # which gives no verdict on so few steps of noise
            changes = {
                "collapse": options.collapse.model_copy(update={"largest_loss": 10.0}),
                **changes,
            }
        options = options.model_copy(update={"max_steps": STEPS, **changes})
        untrained = options.encoder.model_copy(update={"pretrained": None})
        network = build_encoder(untrained, (self.size, self.size))
        rows = np.arange(options.batch_size * STEPS)
        batches = PairBatches(
            Pairs("standard", self.images), rows, batch_size=options.batch_size, seed=0
        )
        kinds: dict[str, Any] = {"simclr": SimCLR, "dino": Dino}
        module = kinds[objective](network, options, seed=0, steps_per_epoch=STEPS)
        return self._timed(
            lambda: fit(module, batches, epochs=EPOCHS, folder=None, seed=0), options.batch_size
        )

    def generator(self, changes: dict[str, Any]) -> Row:
        """The HVAE."""
        options = self.experiment.generator.model_copy(
            update={"max_steps": STEPS, "epochs": EPOCHS, **changes}
        )
        source = self._stated()
        rows = np.arange(options.batch_size * STEPS)
        parents = ImageParents(PARENTS)
        return self._timed(
            lambda: training.train(source, rows, parents, options)[1], options.batch_size
        )

    def _stated(self) -> ImageArrays:
        rng = np.random.default_rng(1)
        stated = {
            name: (values, rng.integers(len(values), size=len(self.images)))
            for name, values in PARENTS.items()
        }
        return ImageArrays(self.images, stated)

    def _timed(self, train: Callable[[], History], batch_size: int) -> Row:
        reset_peak()
        start = time.perf_counter()
        history = train()
        whole = time.perf_counter() - start
        seconds = min(row["seconds"] for row in history[1:]) / STEPS
        return {
            "batch_size": batch_size,
            "seconds_per_step": seconds,
            "images_per_second": batch_size / seconds,
            "first_epoch_seconds": history[0]["seconds"],
            "whole_seconds": whole,
            "peak_memory_mib": peak_mib(),
        }

    def augmentation(self) -> Row:
        """Views of a batch of SimCLR: seconds of a step."""
        options = self.experiment.pretraining.simclr
        batch = torch.from_numpy(self.images[: options.batch_size]).to(fastest_device())
        pairs = torch.cat([batch, batch])
        taken = seconds_of(lambda: augment(pairs, options.augment, step_generator(0, 0, "augment")))
        return {"batch_size": options.batch_size, "seconds_per_step": taken}

    def bank(self, bfloat16: bool) -> Row:
        """Counterfactuals of 64 images: abducted once for all targets, and the published way.

        Which abducts anew for every target, its own included, in float32.
        """
        hvae = HVAE(
            self.experiment.generator.hvae,
            {name: len(values) for name, values in PARENTS.items()},
            self.size,
            self.size,
        )
        made = Generator(
            ImageParents(PARENTS), hvae.to(fastest_device()).eval().requires_grad_(False)
        )
        source, rows = self._stated(), np.arange(64)
        reset_peak()

        def ours() -> None:
            counterfactuals(made, source, rows, "scanner", bfloat16=bfloat16)

        def plainly() -> None:
            x, parents = made.observed(source, rows)
            for scanner in PARENTS["scanner"]:
                made.counterfactual(x, parents, do={"scanner": scanner})

        fast, plain = seconds_of(ours, 3), seconds_of(plainly, 3)
        count = len(rows) * len(PARENTS["scanner"])
        return {
            "batch_size": len(rows),
            "images_per_second": count / fast,
            "plain_images_per_second": count / plain,
            "ratio": plain / fast,
            "peak_memory_mib": peak_mib(),
        }


def reset_peak() -> None:
    """Forgets what memory the GPU had in use at most."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_mib() -> float | None:
    """What memory the GPU had in use at most since; None without one."""
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None


def wait() -> None:
    """Until the GPU has done what it was asked."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds_of(function: Callable[[], Any], rounds: int = 10) -> float:
    """Seconds per call, after one to warm up; the GPU has finished each."""
    function()
    wait()
    start = time.perf_counter()
    for _ in range(rounds):
        function()
    wait()
    return (time.perf_counter() - start) / rounds


def parts(benchmark: Benchmark) -> dict[str, Callable[[], Row]]:
    """What is measured, cheapest first; what compiles comes last."""
    half, single = {"precision": "bfloat16"}, {"precision": "float32"}
    compiled = half | {"compile": True}
    return {
        "augmentation": benchmark.augmentation,
        "simclr float32": lambda: benchmark.encoder("simclr", single),
        "simclr bfloat16": lambda: benchmark.encoder("simclr", half),
        "dino float32": lambda: benchmark.encoder("dino", single),
        "dino bfloat16": lambda: benchmark.encoder("dino", half),
        "generator float32": lambda: benchmark.generator({"bfloat16": False}),
        "generator bfloat16": lambda: benchmark.generator({"bfloat16": True}),
        "bank float32": lambda: benchmark.bank(bfloat16=False),
        "bank bfloat16": lambda: benchmark.bank(bfloat16=True),
        "simclr bfloat16 compiled": lambda: benchmark.encoder("simclr", compiled),
        "dino bfloat16 compiled": lambda: benchmark.encoder("dino", compiled),
        "generator bfloat16 compiled": lambda: benchmark.generator(
            {"bfloat16": True, "compile": True}
        ),
    }


def measured(measure: Callable[[], Row]) -> Row:
    """The figures of a part, or why it failed."""
    try:
        return measure()
    except Exception as error:  # the other parts can still be measured
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def machine() -> Row:
    """What it was measured on."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    return {"device": name, "torch": torch.__version__, "date": time.strftime("%Y-%m-%d")}


def main() -> None:
    """Measures part after part, and keeps what there is after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=Path("study/gpu.json"))
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--parts", nargs="+", default=None)
    given = parser.parse_args()
    chosen = ("quick", "phantom-chest") if given.small else ("paper", "padchest", ".")
    benchmark = Benchmark(config.experiment(*chosen))
    found: dict[str, Any] = {"machine": machine(), "size": benchmark.size, "parts": {}}
    for name, measure in parts(benchmark).items():
        if given.parts is None or name in given.parts:
            found["parts"][name] = row = measured(measure)
            print(name, json.dumps(row), flush=True)
            given.file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
