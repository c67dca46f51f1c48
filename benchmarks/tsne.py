"""Time and memory of t-SNE on as many embeddings as the paper draws.

16,000 embeddings of 2,048 dimensions, in clusters, through `projections.project`:
principal components first, then openTSNE. Run as `python -m benchmarks.tsne`; it should take less
than 3 minutes on two cores.
"""

import argparse
import time

import numpy as np

from companion.engine.runs import peak_memory
from companion.evaluation.projections import project


def embeddings(n: int, dimensions: int, clusters: int = 20, seed: int = 0) -> np.ndarray:
    """Features float32 (n, dimensions) around some centres, with a falling spectrum."""
    rng = np.random.default_rng(seed)
    scale = 1 / np.sqrt(1 + np.arange(dimensions, dtype=np.float32))
    centres = 3 * rng.standard_normal((clusters, dimensions), np.float32)
    noise = rng.standard_normal((n, dimensions), np.float32)
    return scale * (centres[rng.integers(clusters, size=n)] + noise)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=16_000)
    parser.add_argument("--dimensions", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    features = {"encoder": embeddings(asked.images, asked.dimensions)}
    before, processor = time.perf_counter(), time.process_time()
    project(features, threads=asked.threads)
    wall, used = time.perf_counter() - before, time.process_time() - processor
    peak = peak_memory() / 2**20
    print(
        f"{asked.images} x {asked.dimensions}, {asked.threads} threads: {wall:.0f} s "
        f"({used:.0f} s of processor time), peak {peak:.0f} MiB"
    )


if __name__ == "__main__":
    main()
