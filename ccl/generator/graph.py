"""The causal graph of a cohort: which parents an image has, and how many values each takes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ccl.cohorts import Cohort

IMAGE = "image"


@dataclass(frozen=True)
class ImageParents:
    """Discrete parents of the image; in the paper's graphs all are roots.

    Attributes:
        values: parent to its values, in the order of their integer codes.
    """

    values: Mapping[str, tuple[str, ...]]

    @property
    def sizes(self) -> dict[str, int]:
        """Parent to number of values."""
        return {name: len(values) for name, values in self.values.items()}

    @property
    def graph(self) -> dict[str, tuple[str, ...]]:
        """Variables and their parents, for `StructuralCausalModel`: roots -> image."""
        return {**{name: () for name in self.values}, IMAGE: tuple(self.values)}

    def codes(self, cohort: Cohort, rows: np.ndarray) -> dict[str, Tensor]:
        """Integer codes int64 (n,) of every parent for some rows of a cohort."""
        return {name: torch.from_numpy(cohort.codes(name, rows)) for name in self.values}

    def code(self, name: str, value: str) -> int:
        """Integer code of one value.

        Raises:
            ValueError: no such parent or value.
        """
        if name not in self.values or value not in self.values[name]:
            raise ValueError(f"do({name}={value}): the graph knows {dict(self.values)}")
        return self.values[name].index(value)


def image_parents(cohort: Cohort) -> ImageParents:
    """Parents of the image in a cohort: the scanner, and the sex.

    The sex is left out where some row does not state it, and where all are of one sex: a parent
    with one value explains nothing, and nothing can be learned of the other.
    """
    rows = cohort.rows(scanners="pretraining")
    values = {"scanner": cohort.scanners}
    if set(cohort.table["sex"].iloc[rows]) == set(cohort.values("sex")):
        values["sex"] = cohort.values("sex")
    return ImageParents(values)
