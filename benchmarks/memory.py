"""Memory and speed of import and pair making, as the number of images grows.

    python benchmarks/memory.py [images] [size]

Imports noise of size x size pixels, generated from a seed as it is asked for, and makes the pairs
of one epoch of CF-SimCLR, from a small cohort and from one of `images` (200,000 by default, which
needs their bytes on disk; the bank is a sparse file, which needs none). Each part runs in a process
of its own, whose peak memory is sampled. It is said twice: what the process holds for itself, and,
with it, the pages of memory-mapped files, which the system takes back whenever somebody needs them.
"""

import multiprocessing
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from peaks import watched

from ccl.objectives.batches import PairBatches
from ccl.pairs import Pairs
from companion.cohorts.bank import Bank
from companion.cohorts.cohort import Cohort
from companion.cohorts.importing import writer
from companion.cohorts.importing.image_files import FrameOptions
from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.table import LINE
from companion.cohorts.releases.folder import FolderOptions

SMALL, ROUNDS, SCANNERS = 2000, 5, ("A", "B", "C")


@dataclass(frozen=True)
class Noise:
    """An archive whose images are made when they are asked for."""

    path: Path

    def frames(self, source_paths: Iterable[str], frame: FrameOptions) -> Iterator[np.ndarray]:
        """Noise, uint8 (H, W), seeded by the image's number."""
        for source in source_paths:
            yield np.random.default_rng(int(source)).integers(0, 256, frame.shape, dtype=np.uint8)


def planned(images: int, size: int, file: Path) -> Plan:
    """A cohort of so many images, each of a patient of its own."""
    number = np.arange(images)
    names = number.astype(str)
    rows = pd.DataFrame({"image_id": names, "patient_id": names, "source_path": names})
    rows["split"] = np.select([number % 10 == 8, number % 10 == 9], ["val", "test"], "train")
    rows["scanner"] = np.array(SCANNERS)[number // 10 % 3]
    rows["label"] = number // 30 % 2
    rows = rows.assign(sex="", age=np.nan, view="PA", **{LINE: number + 2})
    options = FolderOptions(name="noise", size=size)
    return Plan(options, file.parent, file, SCANNERS, ("no", "yes"), rows, archive=Noise(file))


def imported(folder: Path, images: int, size: int) -> int:
    """Imports the noise; the number of images."""
    file = folder / "noise.txt"
    file.write_text("made on the fly\n")
    writer.write(planned(images, size, file), folder / "cohort")
    return images


def paired(folder: Path, images: int, size: int) -> int:
    """Makes the pairs of one epoch; the number of pairs."""
    cohort = Cohort.load(folder / "cohort")
    rows = cohort.rows("train", "pretraining")
    file = folder / "bank.npy"
    shape = (images, len(SCANNERS), size, size)
    np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)  # sparse
    bank = np.load(file, mmap_mode="r", allow_pickle=False)
    made = Bank(bank, np.arange(images), np.arange(images), "scanner", SCANNERS)
    pairs = Pairs("counterfactual", cohort.images, made)
    batches = PairBatches(pairs, rows, batch_size=256, seed=0)
    count = sum(len(batch["a"]) for batch in batches.epoch(0))
    file.unlink()
    return count


def resident() -> tuple[int, int]:
    """Bytes that this process holds for itself, and those with its files' mapped pages."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    anonymous, whole = (int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "VmRSS"))
    return anonymous, whole


def measured(
    part: Callable[[Path, int, int], int], folder: Path, images: int, size: int, queue: object
) -> None:
    """Runs a part; sends images/s and both peaks."""
    start = time.perf_counter()
    count, peaks = watched(resident, lambda: part(folder, images, size))
    rate = count / (time.perf_counter() - start)
    queue.put((rate, *peaks))  # type: ignore[attr-defined]


def alone(
    part: Callable[[Path, int, int], int], folder: Path, images: int, size: int
) -> tuple[float, int, int]:
    """The same in a process of its own."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=measured, args=(part, folder, images, size, queue))
    process.start()
    found: tuple[float, int, int] = queue.get()
    process.join()
    return found


def main(images: int, size: int) -> None:
    """Prints a row for each part and number of images."""
    print(f"{'':<10}{'images':>9}{'images/s':>10}{'own memory':>13}{'with mapped pages':>20}")
    rates: dict[str, list[float]] = {}
    for count in (*[SMALL] * ROUNDS, images):
        folder = Path(tempfile.mkdtemp())
        try:
            for part in (imported, paired):
                rate, own, whole = alone(part, folder, count, size)
                rates.setdefault(part.__name__, []).append(rate)
                memory = f"{own / 2**20:>9.0f} MiB{whole / 2**20:>16.0f} MiB"
                print(f"{part.__name__:<10}{count:>9}{rate:>10.0f}{memory}", flush=True)
        finally:
            shutil.rmtree(folder)
    for name, (*small, large) in rates.items():
        times = large / statistics.median(small)
        print(f"{name}: {times:.2f} times the speed of {SMALL} images (median of {ROUNDS} runs)")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 200_000,
        int(sys.argv[2]) if len(sys.argv) > 2 else 224,
    )
