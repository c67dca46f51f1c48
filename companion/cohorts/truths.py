"""What the images would have been: cohorts of simulated scanners know it.

Of a phantom everything is known that its simulator can be asked (`simulation.phantom`); of real
images under simulated scanners, what another of these would have made (`simulated_scanners`).
"""

from collections.abc import Mapping

import numpy as np

from companion.cohorts.cohort import Cohort
from companion.cohorts.simulation import phantom, simulated_scanners
from companion.cohorts.simulation.phantom import PhantomOptions
from companion.cohorts.simulation.phantoms import PHANTOMS
from companion.cohorts.simulation.scanner_shares import ScannerShares, SimulatedScanners
from companion.cohorts.simulation.scanners import Scanner


def knows_truth(options: object) -> bool:
    """Whether the source of some options knows the true counterfactuals of its images."""
    return isinstance(options, ScannerShares)


def has_truth(cohort: Cohort, variable: str = "scanner") -> bool:
    """Whether it is known what do(variable) would have done to a cohort's images."""
    if variable == "scanner":
        return "scanner_set" in cohort.info.get("source_options", {})
    options = _phantom(cohort)
    return options is not None and variable in options.variables


def true_counterfactual(
    cohort: Cohort, rows: np.ndarray, do: Mapping[str, str], *, noise: bool = True
) -> np.ndarray:
    """True counterfactuals, uint8 (n, H, W), of some rows under an intervention.

    Args:
        cohort: of simulated images or scanners.
        rows: (n,) row indices.
        do: variable to value, e.g. {"scanner": "Boreal"}; may name held-out scanners.
        noise: with the image's own sensor noise, or the noise-free rendering.

    Raises:
        LookupError: the source does not know them.
        ValueError: `do` names an unknown variable or value.
    """
    if not has_truth(cohort):
        raise LookupError(f"cohort '{cohort.name}' is not simulated: no true counterfactual")
    options = _options(cohort)
    if isinstance(options, PhantomOptions):
        return phantom.counterfactual(options, cohort.table.iloc[rows], do, noise=noise)
    return simulated_scanners.counterfactual(options, cohort, rows, do, noise=noise)


def true_labels(cohort: Cohort, rows: np.ndarray, do: Mapping[str, str]) -> np.ndarray:
    """Labels int64 (n,) that some rows would have had under an intervention.

    Raises:
        LookupError: the cohort was not simulated from scratch.
    """
    options = _phantom(cohort)
    if options is None:
        raise LookupError(f"cohort '{cohort.name}' has no simulator that knows the labels")
    return phantom.true_labels(options, cohort.table.iloc[rows], do)


def scanner_settings(cohort: Cohort, scanner: str) -> Scanner:
    """The rendering pipeline of a simulated scanner.

    Raises:
        KeyError: the cohort's scanners are not simulated, or it has none of that name.
    """
    return _options(cohort).settings(scanner)


def _phantom(cohort: Cohort) -> PhantomOptions | None:
    """The options that a cohort was simulated with; None where it was not."""
    kind = PHANTOMS.get(cohort.info["source"])
    return None if kind is None else kind(**cohort.info["source_options"])


def _options(cohort: Cohort) -> PhantomOptions | SimulatedScanners:
    """What a phantom was made with, or the simulated scanners over real images."""
    made_with, names = cohort.info["source_options"], SimulatedScanners.model_fields
    return _phantom(cohort) or SimulatedScanners(**{name: made_with[name] for name in names})
