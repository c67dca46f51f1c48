"""The counterfactual bank: its time, its memory, and how the published code would make it.

    python benchmarks/bank.py [images] [quick|paper] [scanners]

Ours: `bank.make` with generator and options of a profile (`paper` is meant for a
GPU), untrained, which costs the same, on chest phantoms of three to five scanners. Plainly: the
same weights in float32, one target at a time with an abduction each, and one PNG file per image.
Both leave counterfactuals of every image under every scanner on disk, and how far they differ is
said as well; ours keeps the real image under its own scanner. Memory is the growth of the resident
set while the bank of a quarter, then of all images is made: flat means that it does not follow the
number of images.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import torch
from peaks import watched
from PIL import Image
from timing import in_turns

from ccl.devices import fastest_device
from ccl.generator.generator import Generator, to_images
from ccl.generator.hvae import HVAE
from ccl.generator.hvae_options import HVAEOptions
from companion.cohorts import bank, registry
from companion.cohorts.causes import image_parents
from companion.cohorts.cohort import Cohort
from companion.cohorts.simulation.phantom_chest import PhantomChestOptions
from companion.cohorts.simulation.scanners import SCANNERS
from companion.experiments import config

EXPERIMENTS = {"quick": ("quick", "phantom-chest"), "paper": ("paper", "padchest", ".")}
PLAIN = 256  # images made plainly; the time per image does not depend on their number


def simulated(folder: Path, images: int, size: int, scanners: int) -> Cohort:
    """A chest phantom of some training images and hardly any others."""
    names = list(SCANNERS["strong"])[:scanners]
    shares = dict.fromkeys(names, 1 / len(names))
    options = PhantomChestOptions(
        size=size, shares=shares, n_train=images, n_val=len(names), n_test_per_scanner=1
    )
    return registry.build(options, None, folder)


def untrained(cohort: Cohort, options: HVAEOptions) -> Generator:
    """The generator before its training, where it is fastest."""
    parents = image_parents(cohort)
    torch.manual_seed(0)
    hvae = HVAE(options, parents.sizes, *cohort.images.shape[1:])
    return Generator(parents, hvae.to(fastest_device()).eval().requires_grad_(False))


def plainly(cohort: Cohort, generator: Generator, folder: Path) -> None:
    """One target at a time, abducting anew, one PNG file per image."""
    rows = cohort.rows(scanners="pretraining")[:PLAIN]
    for start in range(0, len(rows), 32):
        part = rows[start : start + 32]
        x, parents = generator.observed(cohort, part)
        for scanner in cohort.scanners:
            made = to_images(generator.counterfactual(x, parents, do={"scanner": scanner}))
            for row, image in zip(part, made, strict=True):
                Image.fromarray(image).save(folder / f"{row}_{scanner}.png")


def difference(cohort: Cohort, plain: Path, made: Path) -> float:
    """Mean absolute difference of the two, in grey levels of 255, where both are generated."""
    ours = bank.load(made, cohort)
    found = []
    for row in cohort.rows(scanners="pretraining")[:PLAIN]:
        for k, scanner in enumerate(cohort.scanners):
            if cohort.table["scanner"].iloc[row] != scanner:
                image = np.asarray(Image.open(plain / f"{row}_{scanner}.png"), dtype=float)
                found.append(np.abs(image - ours.images[ours.position[row], k]).mean())
    return float(np.mean(found))


def growth(cohort: Cohort, make: Callable[[Cohort, Path], None], folder: Path) -> float:
    """Peak growth of the private memory, MiB, while a bank is made."""
    process = psutil.Process()
    before = process.memory_full_info().uss
    _, (peak,) = watched(
        lambda: (process.memory_full_info().uss,),
        lambda: make(cohort, folder),
    )
    return (peak - before) / 2**20


def main(images: int, profile: str, scanners: int) -> None:
    """Prints seconds, ratio and memory."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        experiment = config.experiment(*EXPERIMENTS[profile])
        size = experiment.source.size
        whole, quarter = (
            simulated(root / str(n), n, size, scanners) for n in (images, images // 4)
        )
        generator = untrained(whole, experiment.generator.hvae)
        made = iter(range(10**6))

        def make(cohort: Cohort, folder: Path) -> None:
            folder.mkdir()
            bank.make(cohort, generator, experiment.bank, folder)

        def ours() -> None:
            make(whole, root / f"bank{next(made)}")

        plain = root / "plain"
        plain.mkdir()
        seconds, plain_seconds = in_turns([ours, lambda: plainly(whole, generator, plain)], 2)
        rate = np.array([images / seconds, min(PLAIN, images) / plain_seconds]) * scanners
        place = f"{fastest_device().type}, {torch.get_num_threads()} threads"
        print(f"{images} images of {size} pixels, {scanners} targets, {place}:")
        print(f"  bank     {rate[0]:7.0f} counterfactuals/s   {seconds:6.1f} s")
        print(f"  plainly  {rate[1]:7.0f} counterfactuals/s")
        print(f"  ratio    {rate[0] / rate[1]:7.2f}")
        apart = difference(whole, plain, root / "bank0")
        print(f"  they differ by {apart:.4f} grey levels of 255 on average")
        for cohort in (quarter, whole):
            grown = growth(cohort, make, root / f"memory{len(cohort)}")
            print(f"  memory for {len(cohort)} images: {grown:.0f} MiB")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 4000,
        sys.argv[2] if len(sys.argv) > 2 else "quick",
        int(sys.argv[3]) if len(sys.argv) > 3 else 3,
    )
