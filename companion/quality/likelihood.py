"""Likelihood: how many bits does the generator need for a pixel of a test image?

The negative evidence lower bound, with its share of every resolution's latents. The pixel's part is
the discretised Gaussian of training, so the figure is a bound of a code length: an untrained
generator needs more, and 8 bits are what a list of grey levels needs.

Source: Ribeiro et al. 2023, https://arxiv.org/abs/2306.15764.
"""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from ccl.generator.generator import Generator
from ccl.seeding import seeded
from companion.cohorts.cohort import Cohort
from companion.quality.summary import patient_names, scanner_names, summarise, values


@torch.inference_mode()
def likelihood(
    cohort: Cohort, generators: Mapping[str, Generator], rows: np.ndarray
) -> pd.DataFrame:
    """Bits per pixel under the evidence lower bound, per scanner and over all.

    The latents are drawn from the posterior twice per image.

    Args:
        cohort: real images.
        generators: name to generator, in `images` of the result.
        rows: (n,) rows of pretraining scanners.

    Returns:
        Rows `bits_per_pixel`, `bits_per_pixel_pixels` (the part of the pixels given the latents)
        and `bits_per_pixel_kl_R` (the part of the latents of resolution R).
    """
    own, patients = scanner_names(cohort, rows), patient_names(cohort, rows)
    found: dict[str, list[pd.DataFrame]] = {}
    for images, generator in generators.items():
        parts = pd.DataFrame([_bits(generator, cohort, row) for row in rows])
        for name in parts:
            table = values(images, own, own, patients, parts[name].to_numpy())
            found.setdefault(f"bits_per_pixel{name}", []).append(table)
    return pd.concat([summarise(name, tables) for name, tables in found.items()], ignore_index=True)


def _bits(generator: Generator, cohort: Cohort, row: int) -> dict[str, float]:
    """Parts of one image's code length, in bits per pixel."""
    twice, hvae = np.array([row, row]), generator.hvae
    with seeded(int(row), generator.device):
        hvae.train()  # draws from the posterior; the HVAE has no layers that differ otherwise
        try:
            elbo = hvae.elbo(*generator.observed(cohort, twice))
        finally:
            hvae.eval()
    bits = 1 / math.log(2)
    by_resolution = {f"_kl_{r}": float(kl) * bits for r, kl in elbo.kl_by_resolution.items()}
    pixels = float(elbo.nll) * bits
    return {"": pixels + float(elbo.kl) * bits, "_pixels": pixels, **by_resolution}
