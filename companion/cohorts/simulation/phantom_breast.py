"""Simulated mammograms whose true counterfactuals are known.

The structural causal model: exogenous noise of woman and image; age from it; breast density, A to
D, from age and noise (older is less dense); the share of fibroglandular tissue from the density;
anatomy from these, the view and sometimes an implant; radiance from the anatomy; the stored image
from radiance, scanner and the sensor's noise. The scanner is independent of all of these.
"""

from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator
from scipy import special

from companion.cohorts.cohort import ATTRIBUTE
from companion.cohorts.simulation import breast_anatomy
from companion.cohorts.simulation.draws import Exogenous
from companion.cohorts.simulation.phantom import PhantomOptions

CLASSES = ("A", "B", "C", "D")
# Share of the breast's area that is fibroglandular, from the lowest of A to the highest of D.
TISSUE_SHARE = (0.03, 0.13, 0.33, 0.58, 0.85)
AGES = (40, 80)  # years, of women who are screened
CAVEATS = (
    "Simulated images: geometric shapes and smooth textures, not women. Nothing found on them is a "
    "statement about real mammograms, scanners or breast density.",
    "Density is the share of the breast's area that is fibroglandular, cut into four classes; "
    "radiologists judge it by eye, and differ.",
    "The regime 'strong' makes the scanners differ by more than the classes do, on purpose: that "
    "is what the method presupposes. Real scanners may differ less.",
    "The scanner is independent of age, density, implants and view; in real cohorts it rarely is.",
    "Where there is an implant, it hides tissue that counts for the density.",
)


class PhantomBreastOptions(PhantomOptions):
    """What to simulate; see `CAVEATS` for what it is not.

    Attributes:
        height, width: of the images, pixels.
        shares: pretraining scanners and their shares of the training images; others are held out.
        prevalence: of every density class.
        age_effect: how far age determines density: correlation of the two on a normal scale, its
            sign turned; 0 is independence.
        implants: share of the women who have them; the table's `attribute` says so.
    """

    classes: ClassVar = CLASSES
    citation: ClassVar = (
        "Simulated by phantom_breast.py of this project; no publication and no women behind it."
    )
    sexes: ClassVar = ("F",)
    draws: ClassVar = breast_anatomy.DRAWS
    variables: ClassVar = {"age": tuple(str(years) for years in range(*AGES))}

    source: Literal["phantom-breast"] = "phantom-breast"
    scanner_set: Literal["radiography", "mammography"] = "mammography"
    height: int = Field(default=64, ge=32, le=256)
    width: int = Field(default=56, ge=28, le=256)
    n_train: int = Field(default=1800, ge=1)
    n_val: int = Field(default=300, ge=1)
    n_test_per_scanner: int = Field(default=160, ge=1)
    shares: dict[str, float] = Field(
        default={"Fjord": 0.86, "Gale": 0.06, "Haven": 0.04, "Iris": 0.03, "Juno": 0.01}
    )
    prevalence: dict[str, float] = Field(default={"A": 0.1, "B": 0.4, "C": 0.4, "D": 0.1})
    age_effect: float = Field(default=0.5, ge=0, lt=1)
    implants: float = Field(default=0.04, ge=0, lt=1)

    @field_validator("prevalence")
    @classmethod
    def _prevalences_are_shares(cls, prevalence: dict[str, float]) -> dict[str, float]:
        whole = abs(sum(prevalence.values()) - 1) < 1e-6
        if set(prevalence) != set(CLASSES) or min(prevalence.values()) <= 0 or not whole:
            raise ValueError(f"prevalence {prevalence}: expected {CLASSES}, above 0, that sum to 1")
        return prevalence

    @property
    def frame(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    @property
    def caveats(self) -> tuple[str, ...]:
        """The simulator's."""
        return CAVEATS

    def facts(self, noise: Exogenous) -> dict[str, Any]:
        """Mechanisms of age, density, view and implant."""
        side = np.where(_right(noise), "R", "L").astype(object)
        return {
            "sex": "F",
            "age": _years(_uniform(noise, "age")),
            "view": side + np.where(_oblique(noise), "MLO", "CC"),
            "label": density(self, noise)[0],
            ATTRIBUTE: np.where(self._implant(noise), "implant", ""),
        }

    def radiance(self, noise: Exogenous, rows: pd.DataFrame) -> np.ndarray:
        """Mechanism of the image before any scanner."""
        share = density(self, noise, rows["age"].to_numpy(dtype=float))[1]
        return breast_anatomy.radiance(
            noise, share, self._implant(noise), _oblique(noise), _right(noise)
        )

    def labels(self, noise: Exogenous, rows: pd.DataFrame) -> np.ndarray:
        """Mechanism of the density, of which an intervention on the age is a cause."""
        return density(self, noise, rows["age"].to_numpy(dtype=float))[0]

    def _implant(self, noise: Exogenous) -> np.ndarray:
        return noise.patient["implant"].reshape(-1) < self.implants


def density(
    options: PhantomBreastOptions, noise: Exogenous, years: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mechanism of the density: class, int64 (n,), and share of fibroglandular tissue, (n,).

    A standard normal liability falls with age and is cut where the classes have their prevalence.
    `years`, (n,), are set by intervention; where they are the women's own, nothing changes.
    """
    age, own = (
        special.ndtri(rank.clip(1e-6, 1 - 1e-6))
        for rank in (_age_rank(noise, years), _uniform(noise, "density"))
    )
    effect = options.age_effect
    rank = special.ndtr(-effect * age + np.sqrt(1 - effect**2) * own)  # uniform over the women
    ends = np.cumsum([0.0, *(options.prevalence[name] for name in CLASSES)])
    label = np.searchsorted(ends[1:-1], rank, side="right")
    return label.astype(np.int64), np.interp(rank, ends, TISSUE_SHARE)


def _age_rank(noise: Exogenous, years: np.ndarray | None) -> np.ndarray:
    """Place of the age between the youngest, 0, and the oldest, 1; (n,)."""
    own = _uniform(noise, "age")
    if years is None:
        return own
    middle = (years + 0.5 - AGES[0]) / (AGES[1] - AGES[0])  # of the year that was set
    return np.where(years == _years(own), own, middle)


def _years(age: np.ndarray) -> np.ndarray:
    youngest, oldest = AGES
    return np.floor(youngest + (oldest - youngest) * age)


def _uniform(noise: Exogenous, name: str) -> np.ndarray:
    return noise.patient[name].reshape(-1).astype(float)


def _oblique(noise: Exogenous) -> np.ndarray:
    return noise.image["view"].reshape(-1) < 0.5


def _right(noise: Exogenous) -> np.ndarray:
    return noise.image["side"].reshape(-1) < 0.5
