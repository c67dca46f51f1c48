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
from torch import nn

from ccl.generator.generator import Generator
from ccl.seeding import seeded
from companion.cohorts.cohort import Cohort
from companion.quality.sample import Measurements, Sample


@torch.inference_mode()
def likelihood(sample: Sample, generators: Mapping[str, Generator]) -> pd.DataFrame:
    """Bits per pixel under the evidence lower bound, per scanner and over all.

    The latents are drawn from the posterior twice per image.

    Returns:
        Rows `bits_per_pixel`, `bits_per_pixel_pixels` (the part of the pixels given the latents)
        and `bits_per_pixel_kl_R` (the part of the latents of resolution R).
    """
    found = Measurements(sample)
    for name, generator in generators.items():
        bits = pd.DataFrame([_bits(generator, sample.cohort, row) for row in sample.rows])
        for part in bits:
            found.add(f"bits_per_pixel{part}", name, bits[part].to_numpy())
    return found.summary()


def _bits(generator: Generator, cohort: Cohort, row: int) -> dict[str, float]:
    """Parts of one image's code length, in bits per pixel."""
    twice, hvae = np.array([row, row]), generator.hvae
    with seeded(int(row), generator.device):
        hvae.train()  # draws from the posterior
        try:
            for dropout in (part for part in hvae.modules() if isinstance(part, nn.Dropout)):
                dropout.eval()
            elbo = hvae.elbo(*generator.observed(cohort, twice))
        finally:
            hvae.eval()
    bits = 1 / math.log(2)
    by_resolution = {f"_kl_{r}": float(kl) * bits for r, kl in elbo.kl_by_resolution.items()}
    pixels = float(elbo.nll) * bits
    return {"": pixels + float(elbo.kl) * bits, "_pixels": pixels, **by_resolution}
