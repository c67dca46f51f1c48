"""Simulated chest radiographs whose true counterfactuals are known.

The structural causal model: exogenous noise of patient and image; sex, age and finding drawn from
it, independent of each other and of the scanner; anatomy from noise, sex and age; radiance from
anatomy and finding; the stored image from radiance, scanner and the sensor's noise.
"""

from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from companion.cohorts.cohort import SEXES
from companion.cohorts.simulation import chest_anatomy
from companion.cohorts.simulation.draws import Exogenous
from companion.cohorts.simulation.phantom import Phantom, PhantomOptions

CLASSES = ("no finding", "pneumonia")
CAVEATS = (
    "Simulated images: geometric shapes and smooth textures, not patients. Nothing found on them "
    "is a statement about real radiographs, scanners or pneumonia.",
    "The regime 'strong' makes the scanners differ by more than the classes do, on purpose: that "
    "is what the method presupposes. Real scanners may differ less.",
    "Scanner, sex and finding are independent of each other; in real cohorts they rarely are.",
)
CITATION = "Simulated by phantom_chest.py of this project: no publication, no patients behind it."


class PhantomChestOptions(PhantomOptions):
    """What to simulate; see `CAVEATS` for what it is not.

    Attributes:
        size: height and width in pixels.
        shares: pretraining scanners and their shares of the training images; others are held out.
        prevalence: of the finding.
        lesion_contrast: range of an opacity's radiance over the lung around it.
        female_share: of the patients; below one half women are the rarer sex.
        female_contrast: contrast of women's opacities as a share of men's; below 1 women are the
            harder sex. A true counterfactual of sex changes the contrast too.
    """

    source: Literal["phantom-chest"] = "phantom-chest"
    size: int = Field(default=64, ge=32, le=256)
    shares: dict[str, float] = Field(default={"Aurora": 0.6, "Boreal": 0.3, "Cirrus": 0.1})
    prevalence: float = Field(default=0.35, gt=0, lt=1)
    lesion_contrast: tuple[float, float] = (0.07, 0.24)
    female_share: float = Field(default=0.5, gt=0, lt=1)
    female_contrast: float = Field(default=1.0, gt=0, le=1)

    @field_validator("lesion_contrast")
    @classmethod
    def _contrast_is_a_range(cls, contrast: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= contrast[0] <= contrast[1] <= 1:
            raise ValueError(f"lesion_contrast {contrast}: expected 0 <= low <= high <= 1")
        return contrast

    @property
    def frame(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.size, self.size

    @property
    def caveats(self) -> tuple[str, ...]:
        """Says so where the sexes are made to differ."""
        if self.female_share == 0.5 and self.female_contrast == 1:
            return ()
        return (
            f"Made with one sex rarer or harder: women are {self.female_share:.0%} of the "
            f"patients, and their opacities have {self.female_contrast:.0%} of the contrast of "
            "men's.",
        )

    @property
    def sexes(self) -> tuple[str, ...]:
        """Women and men."""
        return SEXES


def _exogenous(
    seed: int, stream: int, patients: np.ndarray, images: np.ndarray, frame: tuple[int, int]
) -> Exogenous:
    return chest_anatomy.exogenous(seed, stream, patients, images, frame[0])


def _facts(options: PhantomChestOptions, noise: Exogenous) -> dict[str, Any]:
    patient = noise.patient
    return {
        "sex": np.where(patient["sex"].reshape(-1) < options.female_share, *SEXES),
        "age": np.floor(20 + 70 * patient["age"].reshape(-1).astype(float)),
        "view": "PA",
        "label": (noise.image["label"].reshape(-1) < options.prevalence).astype(np.int64),
    }


def _radiance(options: PhantomChestOptions, noise: Exogenous, rows: pd.DataFrame) -> np.ndarray:
    female = (rows["sex"] == "F").to_numpy()
    return chest_anatomy.radiance(
        noise,
        female,
        rows["age"].to_numpy(),
        rows["label"].to_numpy() == 1,
        options.lesion_contrast,
        np.where(female, options.female_contrast, 1.0),
    )


CHEST = Phantom(
    name="phantom-chest",
    options=PhantomChestOptions,
    classes=CLASSES,
    caveats=CAVEATS,
    citation=CITATION,
    exogenous=_exogenous,
    facts=_facts,
    radiance=_radiance,
    variables={"sex": SEXES},
)
