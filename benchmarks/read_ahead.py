"""What reading ahead gains: steps that wait for a GPU, with batches read before or meanwhile.

    python benchmarks/read_ahead.py [steps] [milliseconds]

Pairs of one batch (256, 224 pixels) are read from images and a bank on disk, as in training; in
place of a step the host waits, as it does for a GPU, by default for as long as one read takes (at
most twice as fast is possible then). Both ways take turns. Beside it: the rows that one of four
processes reads of a batch, and the same time for them.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from timing import in_turns

from ccl.objectives.batches import PairBatches
from ccl.pairs import Pairs
from ccl.prefetch import prefetched
from ccl.views.batch import Batch
from companion.cohorts.bank import Bank

SIZE, BATCH, DOMAINS, ROUNDS, PROCESSES = 224, 256, 3, 5, 4


def batches(folder: Path, steps: int) -> PairBatches:
    """Counterfactual pairs of noise in memory-mapped files."""
    rng, count = np.random.default_rng(0), steps * BATCH
    for name, shape in (("images", (count,)), ("bank", (count, DOMAINS))):
        file = np.lib.format.open_memmap(
            folder / name, mode="w+", dtype=np.uint8, shape=(*shape, SIZE, SIZE)
        )
        for start in range(0, count, BATCH):
            part = file[start : start + BATCH]
            part[:] = rng.integers(0, 256, part.shape, dtype=np.uint8)
    images, made = (np.load(folder / name, mmap_mode="r") for name in ("images", "bank"))
    rows = np.arange(count)
    bank = Bank(made, rows, rows, "scanner", tuple("abc"))
    return PairBatches(Pairs("counterfactual", images, bank), rows, batch_size=BATCH, seed=0)


def trained(stream: Iterator[Batch], wait: float) -> None:
    """Steps in which the host waits for so many seconds."""
    for _ in stream:
        time.sleep(wait)


def main(steps: int, wait: float | None) -> None:
    """Prints both times and their ratio, and those of a share."""
    with tempfile.TemporaryDirectory() as folder:
        made = batches(Path(folder), steps)

        def quarter(rows: np.ndarray) -> np.ndarray:
            return rows[: len(rows) // PROCESSES]

        (reading,) = in_turns([lambda: trained(made.epoch(0), 0)], ROUNDS)
        wait = reading / steps if wait is None else wait
        plain, early = in_turns(
            [
                lambda: trained(made.epoch(0), wait),
                lambda: trained(prefetched(made.epoch(0)), wait),
            ],
            ROUNDS,
        )
        all_rows, share = in_turns(
            [lambda: trained(made.epoch(0), 0), lambda: trained(made.epoch(0, quarter), 0)], ROUNDS
        )
    print(f"a batch is read in {1e3 * reading / steps:.0f} ms, a step waits {1e3 * wait:.0f} ms")
    print(f"read before each step  {1e3 * plain / steps:6.0f} ms per step")
    print(f"read meanwhile         {1e3 * early / steps:6.0f} ms per step")
    print(f"ratio                  {plain / early:6.2f}")
    print(
        f"one of {PROCESSES} processes reads {BATCH // PROCESSES} of {BATCH} pairs: "
        f"{all_rows / share:.2f} times as fast as all of them"
    )


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 12,
        float(sys.argv[2]) / 1e3 if len(sys.argv) > 2 else None,
    )
