"""Memory of judging counterfactuals and encoders: a made-up bank, made-up latents and features.

    python benchmarks/judging_memory.py [part]

Parts: `bank` (20,000 test images of 64 pixels on 4 scanners), `latents` (the probe of 600 images of
60,000 latents), `probing` (60,000 images of 512 features). Each runs in a process of its own;
printed is the peak of what it holds for itself, less what it held before, beside the size of what
it was given. With an older checkout on PYTHONPATH it shows that one's.
"""

import multiprocessing
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from memory import resident
from peaks import watched

from companion.cohorts.bank import Bank
from companion.cohorts.cohort import Cohort
from companion.quality import measuring as quality
from companion.quality.options import QualityOptions

SCANNERS = ("A", "B", "C", "D")
Part = Callable[[], tuple[Callable[[], Any], int]]  # makes the work, and bytes that it is given


def cohort(folder: Path, images: np.ndarray) -> Cohort:
    """Half of the images to test, the others to learn from and to choose by."""
    n = len(images)
    number = np.arange(n)
    table = pd.DataFrame({"image_id": number.astype(str), "patient_id": number.astype(str)})
    table["split"] = np.select([number % 10 < 5, number % 10 == 5], ["test", "val"], "train")
    table["scanner"] = np.array(SCANNERS)[number % 7 % 4]
    table = table.assign(sex="", age=np.nan, view="", label=number // 3 % 2, source_path="")
    info = {"name": "made-up", "scanners": SCANNERS, "held_out_scanners": [], "source": "folder"}
    return Cohort(folder, info | {"classes": ["no", "yes"], "checksum": ""}, images, table)


def bank() -> tuple[Callable[[], Any], int]:
    """What `quality` does with a bank; its judges and generator are left out."""
    folder, n, size = Path(tempfile.mkdtemp()), 40_000, 64
    shapes = {"images": (n, size, size), "bank": (n, len(SCANNERS), size, size)}
    for name, shape in shapes.items():  # sparse files
        np.lib.format.open_memmap(folder / name, mode="w+", dtype=np.uint8, shape=shape)
    images, made = (np.load(folder / name, mmap_mode="r") for name in shapes)
    mine = cohort(folder, images)
    for name in (
        *("effectiveness", "minimality", "frechet", "nearest_training_image", "composition"),
        *("reversibility", "likelihood", "latent_probe", "off_target", "all_counterfactuals"),
    ):
        setattr(quality, name, lambda *_: pd.DataFrame({"images": [""]}))
    quality.untrained = lambda _: None
    generator: Any = SimpleNamespace(parents=SimpleNamespace(sizes={}))
    rows = np.arange(n)
    given = Bank(made, rows, rows, "scanner", SCANNERS)
    judges: Any = SimpleNamespace(scanner=None, attributes=None)
    work = lambda: quality.measure(mine, generator, given, judges, QualityOptions())  # noqa: E731
    return work, made.nbytes // 2


def latents() -> tuple[Callable[[], Any], int]:
    """What the probe of latents does with them."""
    module, n, width = import_module("companion.quality.latent_probe"), 600, 60_000
    z = np.random.default_rng(0).normal(size=(n, width)).astype(np.float32)
    codes = np.arange(n) % 4
    return lambda: module.fit_probes(z, [codes])[0].predict(z[:50]), z.nbytes


def probing() -> tuple[Callable[[], Any], int]:
    """What linear probing with every label does with features."""
    from companion.evaluation import probing as probes

    n, width = 60_000, 512
    features = np.empty((n, width), np.float32)
    rng = np.random.default_rng(0)
    for row in features:
        row[:] = rng.normal(size=width)
    mine = cohort(Path(), np.zeros((n, 1, 1), np.uint8))
    options = probes.ProbingOptions(fractions=(1.0,), n_bootstrap=1, c_grid=(1e-3, 1e-2))
    about = {"objective": "", "strategy": "", "pretrain_seed": 0}
    import_module("companion.evaluation.linear_probe")._MAX_IN_FLOAT64 = (
        2**20
    )  # so that these are many
    return lambda: probes.probe(mine, features, options, about), features.nbytes


def measured(part: Part, queue: Any) -> None:
    """Runs a part; sends both figures."""
    work, given = part()
    before = resident()[0]
    _, (peak, _) = watched(resident, work)
    queue.put((peak - before, given))


def main(names: list[str]) -> None:
    """Prints a row for each part."""
    parts: dict[str, Part] = {"bank": bank, "latents": latents, "probing": probing}
    for name in names or parts:
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        process = context.Process(target=measured, args=(parts[name], queue))
        process.start()
        peak, given = queue.get()
        process.join()
        share = peak / given
        print(
            f"{name:<10}given {given / 2**20:6.0f} MiB, held {peak / 2**20:6.0f} MiB: {share:.2f}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
