"""SimCLR through the real training loop: views per second, and what the step is spent on.

    python benchmarks/simclr_step.py [steps]

The loop is `ccl.trainer.fit` on the slim ResNet at 64x64, 256 pairs per step, sources read from
a memory map with counterfactual pairs. Shares are of the wall time of the same steps.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from ccl.distributed import Shard, unsharded
from ccl.encoders.encoder import EncoderOptions, build_encoder
from ccl.objectives.batches import PairBatches
from ccl.objectives.simclr import SimCLR, SimCLROptions
from ccl.pairs import Pairs
from ccl.trainer import fit
from ccl.views.batch import Batch

SIZE, DOMAINS, EPOCHS = 64, 3, 2


class Clock:
    """Seconds spent in wrapped functions, by name, after the warm-up epoch."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added to `name`."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = function(*args, **kwargs)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
            return result

        return timed


class TimedBatches(PairBatches):
    """Batches whose making is timed."""

    clock: Clock

    def epoch(self, epoch: int, shard: Shard = unsharded) -> Iterator[Batch]:
        """As the parent's; the clock starts anew with each epoch."""
        self.clock.seconds.clear()
        stream = super().epoch(epoch, shard)
        draw = self.clock.wrap("reading sources", lambda: next(stream, None))
        while (batch := draw()) is not None:
            yield batch


def pairs_on_disk(folder: Path, n: int) -> Pairs:
    """Counterfactual pairs over memory maps of noise."""
    rng = np.random.default_rng(0)
    np.save(folder / "images.npy", rng.integers(0, 256, (n, SIZE, SIZE), dtype=np.uint8))
    np.save(folder / "bank.npy", rng.integers(0, 256, (n, DOMAINS, SIZE, SIZE), dtype=np.uint8))
    images = np.load(folder / "images.npy", mmap_mode="r")
    slots = np.load(folder / "bank.npy", mmap_mode="r")
    return Pairs("counterfactual", images, SimpleNamespace(images=slots, position=np.arange(n)))


def main(steps: int) -> None:
    """Prints views per second and shares of the step."""
    options = SimCLROptions(epochs=EPOCHS)
    n = steps * options.batch_size
    clock = Clock()
    for stride in (4, 2):
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            batches = TimedBatches(
                pairs_on_disk(Path(folder), n),
                np.arange(n),
                batch_size=options.batch_size,
                seed=0,
            )
            batches.clock = clock
            encoder = build_encoder(EncoderOptions(stem_stride=stride), (SIZE, SIZE))
            module = SimCLR(encoder, options, seed=0, steps_per_epoch=steps)
            module.views = clock.wrap("augmentation", module.views)  # type: ignore[method-assign]
            module.embed = clock.wrap("encoder forward", module.embed)  # type: ignore[method-assign]
            history = fit(module, batches, epochs=EPOCHS, folder=Path(folder), seed=0)
        report(stride, steps * 2 * options.batch_size, history["seconds"].iloc[-1], clock.seconds)


def report(stride: int, views: int, seconds: float, parts: dict[str, float]) -> None:
    """Prints one encoder's figures; `seconds` is the last epoch's wall time."""
    making = parts["reading sources"] + parts["augmentation"]
    print(
        f"stem stride {stride}: {views / seconds:.0f} views/s on {torch.get_num_threads()} threads"
    )
    for name, spent in parts.items():
        print(f"  {name:<24} {spent / seconds:6.1%}")
    print(f"  {'batch making (together)':<24} {making / seconds:6.1%}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12)
