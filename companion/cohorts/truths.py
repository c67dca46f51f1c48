"""Which sources know the true counterfactuals of their images, and how.

A source that does is entered in `_TRUTHS`.
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
    """True counterfactuals uint8 (n, H, W) of some rows of a cohort, see `true_counterfactual`."""

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
    """Whether a source knows the true counterfactuals of its images."""
    return source in _TRUTHS


def has_truth(cohort: Cohort, variable: str = "scanner") -> bool:
    """Whether it is known what do(variable) would have done to a cohort's images."""
    truth = _TRUTHS.get(cohort.info["source"])
    if truth is None or variable == "scanner":
        return truth is not None
    return truth.simulator is not None and variable in truth.simulator.variables


def true_counterfactual(
    cohort: Cohort, rows: np.ndarray, do: Mapping[str, str], *, noise: bool = True
) -> np.ndarray:
    """True counterfactuals of some rows under an intervention.

    Args:
        cohort: of simulated images or scanners.
        rows: (n,) row indices.
        do: variable to value, e.g. {"scanner": "Boreal"}; may name held-out scanners.
        noise: with the image's own sensor noise, or the noise-free rendering.

    Returns:
        uint8 (n, H, W).

    Raises:
        LookupError: the source does not know them.
        ValueError: `do` names an unknown variable or value.
    """
    if not has_truth(cohort):
        raise LookupError(f"cohort '{cohort.name}' is not simulated: no true counterfactual")
    return _TRUTHS[cohort.info["source"]].make(cohort, rows, do, noise=noise)


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
