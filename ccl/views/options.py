"""Options of how views are cut and masked, in a module that loads no torch."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from ccl.options import Options

Probability = Annotated[float, Field(ge=0, le=1)]
Range = tuple[float, float]
Size = tuple[int, int]


class AugmentOptions(Options):
    """How a view is cut from its source image; a probability of 0 switches a part off.

    Attributes:
        crop_probability: of cropping at all.
        crop_scale: range of the crop's area as a share of the image's, within (0, 1].
        crop_ratio: range of the crop's width/height, relative to the view's own (1 keeps the
            proportions, also of frames that are not square).
        rotation_probability, rotation_degrees: of rotating, by this angle at most to either side.
        horizontal_flip_probability, vertical_flip_probability: of mirroring left-right, top-bottom.
        intensity_probability: of changing brightness and contrast.
        brightness: b; pixels are multiplied by a factor of [1 - b, 1 + b].
        contrast: c; pixels are drawn to or from the view's mean by a factor of [1 - c, 1 + c].
        sharpness_probability: of blurring or sharpening.
        sharpness_factor: range; 0 is a 3x3 blur, 1 the view itself, 2 as much sharper.
        erase_probability: of blackening a rectangle.
        erase_scale: range of the rectangle's area as a share of the view's.
        erase_ratio: range of the rectangle's width/height, relative to the view's.

    Source:
        Augmentations of the paper's SimCLR (Roschewitz et al. 2025, arXiv 2409.10365), whose
        released code rotates every view and changes every view's brightness and contrast.
    """

    crop_probability: Probability = 1.0
    crop_scale: Range = (0.3, 0.99)
    crop_ratio: Range = (3 / 4, 4 / 3)
    rotation_probability: Probability = 0.5
    rotation_degrees: float = Field(default=45.0, ge=0, le=180)
    horizontal_flip_probability: Probability = 0.5
    vertical_flip_probability: Probability = 0.5
    intensity_probability: Probability = 0.8
    brightness: float = Field(default=0.4, ge=0, lt=1)
    contrast: float = Field(default=0.4, ge=0, lt=1)
    sharpness_probability: Probability = 0.5
    sharpness_factor: Range = (0.0, 2.0)
    erase_probability: Probability = 0.5
    erase_scale: Range = (0.02, 0.2)
    erase_ratio: Range = (0.3, 3.3)

    @model_validator(mode="after")
    def _ranges_make_sense(self) -> Self:
        for name in ("crop_scale", "crop_ratio", "sharpness_factor", "erase_scale", "erase_ratio"):
            low, high = getattr(self, name)
            if not 0 <= low <= high or (low == 0 and name != "sharpness_factor"):
                raise ValueError(f"{name} = ({low}, {high}) must rise from a positive value")
        for name in ("crop_scale", "erase_scale"):
            if getattr(self, name)[1] > 1:
                raise ValueError(f"{name} is a share of the area, so its upper end is at most 1")
        return self


class GlobalCropOptions(AugmentOptions):
    """`AugmentOptions` with DINO-v2's defaults: no rotation, vertical flip, sharpness or erasing.

    `crop_scale` is the share of the image that a crop shows.
    """

    crop_scale: Range = (0.32, 1.0)
    rotation_probability: Probability = 0.0
    vertical_flip_probability: Probability = 0.0
    sharpness_probability: Probability = 0.0
    erase_probability: Probability = 0.0


class LocalCropOptions(GlobalCropOptions):
    """As of global crops, of smaller parts."""

    crop_scale: Range = (0.05, 0.32)


class CropOptions(Options):
    """Which crops are cut from a pair. Triples are for global crop 1, global crop 2, local crops.

    A fair coin says which source of a pair global crop 1 is cut from (`multi_crop`).

    The released DINO-v2 code blurs global crop 1 with the complement of the probability that was
    meant, and the paper's code inherits it; these are the probabilities that were meant.

    Attributes:
        global_crop: how the two global crops are cut; they are as large as the image unless
            `global_size` is given.
        local_crop: how local crops are cut.
        local_crops: their number, half of them from each source.
        global_size: (height, width) of a global crop in pixels; None for the image's own.
        local_size: (height, width) of a local crop in pixels.
        blur_probability: of a Gaussian blur.
        blur_sigma: range of its standard deviation in pixels; DINO-v2's 0.1 to 2 belongs to
            images of 224 pixels, the default to 64.
        solarize_probability: of inverting the pixels from 0.5 up.
    """

    global_crop: GlobalCropOptions = GlobalCropOptions()
    local_crop: LocalCropOptions = LocalCropOptions()
    local_crops: int = Field(default=4, ge=2, multiple_of=2)
    global_size: Size | None = None
    local_size: Size = (32, 32)
    blur_probability: tuple[Probability, Probability, Probability] = (1.0, 0.1, 0.5)
    blur_sigma: Range = (0.03, 0.6)
    solarize_probability: tuple[Probability, Probability, Probability] = (0.0, 0.2, 0.0)

    @model_validator(mode="after")
    def _sigma_makes_sense(self) -> Self:
        if not 0 < self.blur_sigma[0] <= self.blur_sigma[1]:
            raise ValueError(f"blur_sigma = {self.blur_sigma} must rise from a positive value")
        return self


class MaskOptions(Options):
    """How patches of the global crops are hidden from the student.

    Attributes:
        probability: share of the crops that are masked at all.
        ratio: range of the share of patches that are masked in such a crop.
    """

    probability: float = Field(default=0.5, ge=0, le=1)
    ratio: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(le=1)]] = (0.1, 0.5)

    @model_validator(mode="after")
    def _ratio_rises(self) -> Self:
        if self.ratio[0] > self.ratio[1]:
            raise ValueError(f"ratio = {self.ratio} must rise")
        return self
