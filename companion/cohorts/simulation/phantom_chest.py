"""Simulated chest radiographs whose true counterfactuals are known.

The structural causal model: exogenous noise of patient and image; sex, age and finding drawn from
it, independent of each other and of the scanner; anatomy from noise, sex and age; radiance from
anatomy and finding; the stored image from radiance, scanner and the sensor's noise.
"""

from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from companion.cohorts.cohort import SEXES
from companion.cohorts.simulation import chest_anatomy
from companion.cohorts.simulation.draws import Exogenous
from companion.cohorts.simulation.phantom import PhantomOptions

CAVEATS = (
    "Simulated images: geometric shapes and smooth textures, not patients. Nothing found on them "
    "is a statement about real radiographs, scanners or pneumonia.",
    "The regime 'strong' makes the scanners differ by more than the classes do, on purpose: that "
    "is what the method presupposes. Real scanners may differ less.",
    "Scanner, sex and finding are independent of each other; in real cohorts they rarely are.",
)


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

    classes: ClassVar = ("no finding", "pneumonia")
    citation: ClassVar = (
        "Simulated by phantom_chest.py of this project: no publication, no patients behind it."
    )
    sexes: ClassVar = SEXES
    draws: ClassVar = chest_anatomy.DRAWS
    variables: ClassVar = {"sex": SEXES}

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
        """The simulator's, and one where the sexes are made to differ."""
        if self.female_share == 0.5 and self.female_contrast == 1:
            return CAVEATS
        return (
            *CAVEATS,
            f"Made with one sex rarer or harder: women are {self.female_share:.0%} of the "
            f"patients, and their opacities have {self.female_contrast:.0%} of the contrast of "
            "men's.",
        )

    def facts(self, noise: Exogenous) -> dict[str, Any]:
        """Mechanisms of sex, age and finding."""
        patient = noise.patient
        return {
            "sex": np.where(patient["sex"].reshape(-1) < self.female_share, *SEXES),
            "age": np.floor(20 + 70 * patient["age"].reshape(-1).astype(float)),
            "view": "PA",
            "label": (noise.image["label"].reshape(-1) < self.prevalence).astype(np.int64),
        }

    def radiance(self, noise: Exogenous, rows: pd.DataFrame) -> np.ndarray:
        """Mechanism of the image before any scanner."""
        female = (rows["sex"] == "F").to_numpy()
        return chest_anatomy.radiance(
            noise,
            female,
            rows["age"].to_numpy(),
            rows["label"].to_numpy() == 1,
            self.lesion_contrast,
            np.where(female, self.female_contrast, 1.0),
        )
