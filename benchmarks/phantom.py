"""Seconds to simulate the phantom of the chest, from nothing to a finished cohort on disk.

    python benchmarks/phantom.py [images]

Images of 64 x 64 pixels, 4,000 unless told otherwise, by all cores.
"""

import sys
import tempfile
import time
from pathlib import Path

from companion.cohorts.registry import build
from companion.cohorts.simulation.phantom_chest import PhantomChestOptions


def main(images: int) -> None:
    """Prints the number of images, the seconds and the images per second."""
    options = PhantomChestOptions(size=64)
    rest = len(options.every_scanner) * options.n_test_per_scanner + options.n_val
    options = options.model_copy(update={"n_train": max(images - rest, 1)})
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        made = len(build(options, None, Path(folder) / "cohort"))
        seconds = time.perf_counter() - start
    print(f"{made} images in {seconds:.1f} s, {made / seconds:.0f} images/s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
