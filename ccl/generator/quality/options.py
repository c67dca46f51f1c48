"""How counterfactuals are judged."""

from typing import Annotated

from pydantic import Field

from ccl.generator.classifier import ClassifierOptions
from ccl.options import Options


class QualityOptions(Options):
    """How counterfactuals are judged.

    Attributes:
        classifier: that tells scanners apart, and another that tells sex, finding and age.
        cycles: numbers of cycles after which composition and reversibility are measured.
        sample: test images, evenly taken, for what takes many passes or is a control: cycles,
            minimality, likelihood, do(sex), the untrained generator.
        probe_images: training images of each scanner, at most, for the probes of the latents.
    """

    classifier: ClassifierOptions = ClassifierOptions()
    cycles: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(1, 10), min_length=1)
    sample: int = Field(default=192, ge=2)
    probe_images: int = Field(default=200, ge=2)
