"""Images whose counterfactuals are measured, and what is measured of each of them."""

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from companion.cohorts.cohort import Cohort
from companion.cohorts.truths import true_counterfactual
from companion.engine.mapped import read
from companion.evaluation.statistics import mean_with_interval
from companion.quality.summary import ALL


class Sample:
    """Some real images, and one of their causes, which counterfactuals intervene on.

    Wherever counterfactuals are asked for, they are uint8 (n, K, H, W), and slot k is
    do(variable = values[k]). The slots of the images' own values do not count: they are no
    intervention.

    Args:
        cohort: of the images.
        rows: (n,) rows; all state the variable.
        variable: 'scanner', 'sex' or 'age'.

    Attributes:
        values: K values of the variable.
        own: int64 (n,), code of each image's own value.
        patients: int64 (n,), a number for each patient.
    """

    def __init__(self, cohort: Cohort, rows: np.ndarray, variable: str = "scanner") -> None:
        self.cohort, self.rows, self.variable = cohort, rows, variable
        self.values, self.own = cohort.values(variable), cohort.codes(variable, rows)
        self.patients = np.unique(cohort.patients(rows), return_inverse=True)[1]

    @cached_property
    def real(self) -> np.ndarray:
        """The images as they are, uint8 (n, H, W)."""
        return read(self.cohort.images, self.rows)

    @cached_property
    def truth(self) -> np.ndarray:
        """True counterfactuals with the images' own sensor noise, which a simulator knows."""
        return self._simulated(noise=True)

    @cached_property
    def noise_free_truth(self) -> np.ndarray:
        """True counterfactuals without any sensor noise."""
        return self._simulated(noise=False)

    def _simulated(self, *, noise: bool) -> np.ndarray:
        made = np.repeat(self.real[:, None], len(self.values), axis=1)
        for k, at in self.interventions():
            do = {self.variable: self.values[k]}
            made[at, k] = true_counterfactual(self.cohort, self.rows[at], do, noise=noise)
        return made

    def interventions(self) -> Iterator[tuple[int, np.ndarray]]:
        """The code of each value, and the positions (m,) of the images that have another."""
        for k in range(len(self.values)):
            foreign = np.flatnonzero(self.own != k)
            if len(foreign):
                yield k, foreign

    def table(self, value: np.ndarray, target: int | None, at: np.ndarray) -> pd.DataFrame:
        """Values (m,) of the images at some positions, with what they are averaged by.

        The target is the code of the value that was intervened to, None for the images' own.
        """
        own = self.own[at]
        to = own if target is None else np.full(len(at), target)
        names = pd.Index(self.values)
        source, to = (pd.Categorical.from_codes(codes, names) for codes in (own, to))
        columns = {"source": source, "target": to, "patient": self.patients[at], "value": value}
        return pd.DataFrame(columns)


class Measurements:
    """Rows of `quality.csv` from values of single images."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.tables: dict[str, list[pd.DataFrame]] = {}

    def add(
        self,
        measure: str,
        images: str,
        x: np.ndarray,
        target: int | None = None,
        at: np.ndarray | None = None,
    ) -> None:
        """Takes down a measure of some kind of images, e.g. 'counterfactual'; see `Sample.table`.

        Args:
            measure, images: names in `quality.csv`.
            x: (m,) a value of each image.
            target: code of the value that was intervened to; None for the images' own.
            at: (m,) positions of the images in the sample; None for all.
        """
        at = np.arange(len(self.sample.rows)) if at is None else at
        table = self.sample.table(x, target, at).assign(images=images)
        self.tables.setdefault(measure, []).append(table)

    def summary(self) -> pd.DataFrame:
        """Mean per kind of images and direction, and over all directions, each counted alike.

        Returns:
            Rows `measure`, `images`, `source`, `target` ('all' and 'all': the mean over
            directions), `value`, `ci_low`, `ci_high` (95 %, patient-level bootstrap), `n` images.
        """
        return pd.DataFrame(
            [
                {"measure": measure, **row}
                for measure, tables in self.tables.items()
                for row in _means(pd.concat(tables, ignore_index=True))
            ]
        )


def _means(table: pd.DataFrame) -> Iterator[dict[str, object]]:
    keys = ["images", "source", "target"]
    for (images, source, target), part in table.groupby(keys, sort=False, observed=True):
        yield {"images": images, "source": source, "target": target, **mean_of(part)}
    for images, part in table.groupby("images", sort=False):
        yield {"images": images, "source": ALL, "target": ALL, **mean_of(part, keys)}


def mean_of(table: pd.DataFrame, alike: Sequence[str] = ()) -> dict[str, float]:
    """Mean with interval of the column `value`, all values of some columns counted alike."""
    groups = table.groupby([*alike], observed=True).ngroup().to_numpy() if alike else None
    return mean_with_interval(table["value"].to_numpy(), table["patient"].to_numpy(), groups)
