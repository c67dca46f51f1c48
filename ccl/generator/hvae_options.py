"""Options of the HVAE's architecture, in a module that loads no torch."""

from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from ccl.options import Options

MapKind = Literal["none", "mean", "line"]
NoiseKind = Literal["fixed", "scanner"]


class Stage(Options):
    """One resolution of the hierarchy.

    Attributes:
        resolution, width: height (width follows the frame) and channels of its feature maps.
        encoder_blocks, decoder_blocks: of the bottom-up (at least one) and the top-down path.
        latent_channels: channels of each z at this resolution; 0 makes its blocks deterministic.
    """

    resolution: int = Field(ge=1)
    width: int = Field(ge=1)
    encoder_blocks: int = Field(ge=0)
    decoder_blocks: int = Field(ge=0)
    latent_channels: int = Field(default=0, ge=0)


class HVAEOptions(Options):
    """Architecture of the HVAE.

    Attributes:
        stages: from the highest resolution to the lowest.
        unshuffle: pixels folded into channels by the stem, which divides the resolution; 1 = none.
        embedding: width of the parents' embedding e.
        block: 'bottleneck' convolves in the middle, between two 1x1 layers (VDVAE); 'plain' has
            two convolutions and no more, on the way in and on the way out (the released code).
        bottleneck: inner width of a block, as a fraction of the stage's width.
        groups: groups of the group normalisation, at most; lowered to divide the width.
        dropout: probability of dropping a value before the last layer of a block, in training.
        pixel_scale: sigma of the pixel likelihood, for x in [-1, 1]. The default is what trained
            the published models: the released code's "std 1e-2" passes through a softplus with
            beta ln 2, and log2(1 + 2^ln(.01)) = 0.0581.
        zero_output: the last layer starts at zero, so that training starts from a flat grey image
            (the released code); otherwise at random.
        pixel_noise: 'fixed' carries u over with sigma everywhere (the paper); 'scanner' lets the
            noise depend on the scanner, see `ccl.generator.pixel_noise`; measured after training.
        pixel_map: 'none' (the paper), or 'mean' or 'line': latents explain what a fixed map per
            scanner does not, see `ccl.generator.pixel_map`; measured before training.
        registered: parent whose values' mean images are registered to each other, where the image
            has such a parent: latents explain what a fixed warp per value does not, see
            `ccl.generator.registration`; measured before training. None is the paper's.
        abduct: what abduction keeps of a latent: 'latent' keeps z itself (the paper), 'noise'
            keeps epsilon = (z - mu_p) / sigma_p, so that the prior of the new parents moves z.
        posterior_share: alpha, how much of an abducted latent stays: z* = alpha z + (1 - alpha)
            mu_p(new parents). 1 is the paper's; less moves z towards what is common under the new
            parents, and forgets the patient (De Sousa Ribeiro et al. 2023, section 3.2).
    """

    stages: tuple[Stage, ...]
    unshuffle: int = Field(default=1, ge=1)
    embedding: int = Field(default=64, ge=1)
    block: Literal["bottleneck", "plain"] = "bottleneck"
    bottleneck: float = Field(default=0.25, gt=0, le=1)
    groups: int = Field(default=8, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    pixel_scale: float = Field(default=0.0581, gt=0)
    zero_output: bool = False
    pixel_noise: NoiseKind = "fixed"
    pixel_map: MapKind = "none"
    registered: str | None = None
    abduct: Literal["latent", "noise"] = "latent"
    posterior_share: float = Field(default=1.0, ge=0, le=1)

    @model_validator(mode="after")
    def _check_stages(self) -> "HVAEOptions":
        if not self.stages:
            raise ValueError("stages is empty; give at least one stage")
        resolutions = [stage.resolution for stage in self.stages]
        if any(a <= b for a, b in pairwise(resolutions)):
            raise ValueError(f"stages must go from high to low resolution, got {resolutions}")
        if not any(stage.latent_channels and stage.decoder_blocks for stage in self.stages):
            raise ValueError("no stage has latents: give one latent_channels > 0")
        return self


def require_fit(options: HVAEOptions, frame: tuple[int, int]) -> None:
    """Checks that an architecture takes frames of (height, width) pixels.

    Raises:
        ValueError: it does not.
    """
    (height, width), stem, first = frame, options.unshuffle, options.stages[0].resolution
    if height % stem or width % stem or height // stem != first:
        raise ValueError(
            f"frame {height}x{width} with unshuffle {stem} gives a first resolution of "
            f"{height / stem:g}, but stages[0].resolution is {first}"
        )
