"""Which simulated scanners a cohort has, and which of them takes which image."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from ccl.options import Options
from companion.cohorts.simulation.scanners import MAMMOGRAPHS, SCANNERS, Regime, Scanner

SCANNER_SETS: Mapping[str, Mapping[Regime, Mapping[str, Scanner]]] = {
    "radiography": SCANNERS,
    "mammography": MAMMOGRAPHS,
}
_GOLDEN = (5**0.5 - 1) / 2


class ScannerShares(Options):
    """Pretraining scanners and their shares; the scanner set's others are held out.

    Who has these options knows the true counterfactuals of the images (`companion.cohorts.truths`).
    What may be intervened on besides the scanner is in `variables`, with its values.
    """

    variables: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    scanner_set: Literal["radiography", "mammography"] = "radiography"
    regime: Regime = "strong"  # how far the scanners lie apart
    shares: dict[str, float]  # of the training images

    @field_validator("shares")
    @classmethod
    def _shares_are_shares(cls, shares: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        known = sorted(_names(info))
        if unknown := sorted(set(shares) - set(known)):
            raise ValueError(f"shares: scanner {unknown} is unknown; known are {known}")
        if len(shares) < 2 or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError(f"shares {shares}: expected two or more, above 0, that sum to 1")
        return shares

    @property
    def scanners(self) -> tuple[str, ...]:
        """Pretraining scanners."""
        return tuple(self.shares)

    @property
    def held_out_scanners(self) -> tuple[str, ...]:
        """Scanners that appear in the test split only."""
        return tuple(name for name in self._pipelines if name not in self.shares)

    @property
    def every_scanner(self) -> tuple[str, ...]:
        """Both, in the order of the scanner set."""
        used = {*self.scanners, *self.held_out_scanners}
        return tuple(name for name in self._pipelines if name in used)

    def check(self, do: Mapping[str, str]) -> None:
        """Raises a ValueError if an intervention names an unknown variable or value."""
        allowed = {"scanner": self.every_scanner, **self.variables}
        for variable, value in do.items():
            if variable not in allowed:
                raise ValueError(f"do '{variable}': it is one of {sorted(allowed)}")
            if value not in allowed[variable]:
                raise ValueError(f"do {variable} = '{value}': it is one of {allowed[variable]}")

    def settings(self, scanner: str) -> Scanner:
        """The rendering pipeline of a scanner."""
        return self._pipelines[scanner]

    @property
    def _pipelines(self) -> Mapping[str, Scanner]:
        return SCANNER_SETS[self.scanner_set][self.regime]

    def deal(self, split: str, n: int) -> list[str]:
        """Scanners of n images of a split, in their order.

        'train' by the shares, 'val' the pretraining scanners in turn, 'test' all scanners in turn.
        """
        if split != "train":
            names = self.every_scanner if split == "test" else self.scanners
            return [names[i % len(names)] for i in range(n)]
        shares = np.array(list(self.shares.values()))
        # A Kronecker sequence: every stretch of it has the shares, however many images there are.
        places = np.searchsorted(np.cumsum(shares), np.arange(n) * _GOLDEN % sum(shares))
        return [self.scanners[k] for k in places]


class SimulatedScanners(ScannerShares):
    """Simulated scanners put over real images.

    Attributes:
        shares: pretraining scanners and their shares of the training patients.
        held_out: scanners that take images of the test split only.
        scanner_seed: of which patient goes to which scanner, and of the sensors' noise.
        display_gamma: published images have been made bright for the eye: their grey values, in
            [0, 1], to this power are the radiance that the scanners see.
    """

    held_out: tuple[str, ...]
    scanner_seed: int = Field(default=0, ge=0, lt=2**63)
    display_gamma: float = Field(default=1.7, gt=0)

    @field_validator("held_out")
    @classmethod
    def _held_out_are_others(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        others = [name for name in _names(info) if name not in info.data.get("shares", {})]
        if set(names) - set(others) or len(set(names)) < len(names):
            raise ValueError(f"held_out {names}: expected each at most once of {others}")
        return names

    @property
    def held_out_scanners(self) -> tuple[str, ...]:
        """Scanners that appear in the test split only."""
        return self.held_out


def _names(info: ValidationInfo) -> tuple[str, ...]:
    """Every scanner of the set that is being validated."""
    chosen = info.data.get("scanner_set", "radiography")
    return tuple(SCANNER_SETS[chosen]["strong"])
