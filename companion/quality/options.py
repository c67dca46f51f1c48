"""How counterfactuals are judged."""

from typing import Annotated

from pydantic import Field

from ccl.generator.options import ClassifierOptions
from ccl.options import Options


class QualityOptions(Options):
    """How counterfactuals are judged.

    Attributes:
        classifier: that tells scanners apart, and another that tells sex, finding and age.
        cycles: numbers of cycles after which composition and reversibility are measured.
        test_images: test images of each scanner, at most, evenly taken; with their counterfactuals
            they are held in memory.
        sample: of these, evenly taken, for what takes many passes or is a control: cycles,
            minimality, likelihood, do(sex), the untrained generator.
        probe_images: training images of each scanner, at most, for the probes of the latents.
        calibration_images: training images, at most, that the noise of each scanner is measured on
            where other ways of abduction are compared.
    """

    classifier: ClassifierOptions = ClassifierOptions()
    cycles: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(1, 10), min_length=1)
    test_images: int = Field(default=1000, ge=2)
    sample: int = Field(default=192, ge=2)
    probe_images: int = Field(default=200, ge=2)
    calibration_images: int = Field(default=256, ge=2)
