"""Which sources know the true counterfactuals of their images, and how.

A source that does is entered in `_TRUTHS`; `Cohort.has_truth` and `Cohort.truth` look there, and so
does whoever asks for the oracle.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from companion.cohorts.cohort import Cohort
from companion.cohorts.releases.medmnist import MedMnistOptions
from companion.cohorts.releases.mini_mias import MiniMiasOptions
from companion.cohorts.simulation import phantom, simulated_scanners
from companion.cohorts.simulation.phantom import Phantom
from companion.cohorts.simulation.phantom_breast import BREAST
from companion.cohorts.simulation.phantom_chest import CHEST
from companion.cohorts.simulation.scanner_shares import ScannerShares, SimulatedScanners
from companion.cohorts.simulation.scanners import Scanner


class MakesTruth(Protocol):
    """True counterfactuals uint8 (n, H, W) of some rows of a cohort, see `Cohort.truth`."""

    def __call__(
        self, cohort: Cohort, rows: np.ndarray, do: Mapping[str, str], *, noise: bool
    ) -> np.ndarray: ...


@dataclass(frozen=True)
class Truth:
    """What a source knows.

    Attributes:
        make: its counterfactuals.
        options: class of the source's options, which hold the scanners' settings.
        simulator: what made the images, if they were simulated from scratch.
    """

    make: MakesTruth
    options: type[ScannerShares]
    simulator: Phantom | None = None


def known(source: str) -> bool:
    """Whether a source knows the truth."""
    return source in _TRUTHS


def of(source: str) -> MakesTruth:
    """The truth of a source that knows it."""
    return _TRUTHS[source].make


def knows(cohort: Cohort, variable: str) -> bool:
    """Whether a cohort's source knows what do(variable) would have done."""
    truth = _TRUTHS.get(cohort.info["source"])
    if truth is None or variable == "scanner":
        return truth is not None
    return truth.simulator is not None and variable in truth.simulator.variables


def labels(cohort: Cohort, rows: np.ndarray, do: Mapping[str, str]) -> np.ndarray:
    """Labels int64 (n,) that some rows would have had under an intervention.

    Raises:
        LookupError: the cohort was not simulated from scratch.
    """
    truth = _TRUTHS.get(cohort.info["source"])
    if truth is None or truth.simulator is None:
        raise LookupError(f"cohort '{cohort.name}' has no simulator that knows the labels")
    return phantom.true_labels(truth.simulator, cohort.info, cohort.table.iloc[rows], do)


def scanner_settings(cohort: Cohort, scanner: str) -> Scanner:
    """The rendering pipeline of a simulated scanner.

    Raises:
        KeyError: the cohort's scanners are not simulated, or it has none of that name.
    """
    options = _TRUTHS[cohort.info["source"]].options
    return options(**cohort.info["source_options"]).settings(scanner)


def _simulated(simulator: Phantom) -> Truth:
    def make(cohort: Cohort, rows: np.ndarray, do: Mapping[str, str], *, noise: bool) -> np.ndarray:
        return phantom.truth(simulator, cohort.info, cohort.table.iloc[rows], do, noise=noise)

    return Truth(make, simulator.options, simulator)


def _rendered(options: type[SimulatedScanners]) -> Truth:
    def make(cohort: Cohort, rows: np.ndarray, do: Mapping[str, str], *, noise: bool) -> np.ndarray:
        made_with = options(**cohort.info["source_options"])
        return simulated_scanners.truth(made_with, cohort, rows, do, noise=noise)

    return Truth(make, options)


_TRUTHS: Mapping[str, Truth] = {
    "phantom-chest": _simulated(CHEST),
    "phantom-breast": _simulated(BREAST),
    "mini-mias": _rendered(MiniMiasOptions),
    "medmnist": _rendered(MedMnistOptions),
}
