"""What a generator is trained on: images and the discrete variables that are stated of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Images(Protocol):
    """Images with a table of discrete variables; row i of the table describes image i."""

    @property
    def images(self) -> Any:
        """uint8 (N, H, W), an array or what gives arrays when it is indexed with row numbers."""

    def values(self, variable: str) -> tuple[str, ...]:
        """The values of a variable; their order is its integer code."""

    def codes(self, variable: str, rows: np.ndarray) -> np.ndarray:
        """Integer codes, int64 (n,), of a variable for some rows."""

    def patients(self, rows: np.ndarray) -> np.ndarray:
        """Identifiers (n,) of the patients of some rows."""


@dataclass(frozen=True)
class ImageArrays:
    """Images and their variables in memory.

    Attributes:
        images: uint8 (N, H, W).
        variables: variable to the names of its values and its codes, int64 (N,).
    """

    images: np.ndarray
    variables: Mapping[str, tuple[tuple[str, ...], np.ndarray]]

    def values(self, variable: str) -> tuple[str, ...]:
        """As of `Images`."""
        return self.variables[variable][0]

    def codes(self, variable: str, rows: np.ndarray) -> np.ndarray:
        """As of `Images`."""
        return self.variables[variable][1][rows]

    def patients(self, rows: np.ndarray) -> np.ndarray:
        """Each image is a patient of its own."""
        return rows.astype(str)
