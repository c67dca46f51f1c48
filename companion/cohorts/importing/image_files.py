"""One image file of any format becomes one grey frame of one size.

Grey or colour in, one channel out: `raster_files` for PNG, JPEG, TIFF and PGM, `dicom_files` for
DICOM, which brings its own window. `book/image_variants.csv` lists what is read and how.
"""

from pathlib import Path
from typing import Literal, Self

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import Field, model_validator
from scipy import ndimage

from ccl.options import Options
from companion.cohorts.errors import ImageError
from companion.cohorts.importing import dicom_files, grey_levels, raster_files

NEARLY_BLACK = 5  # of 255


class FrameOptions(Options):
    """How an image becomes a uint8 frame.

    Attributes:
        size: height of the frame, and its width where `width` is not given, pixels.
        width: of the frame, pixels.
        fit: 'stretch' resizes both sides to the frame; 'crop' first cuts the largest central part
            of the frame's proportions; 'pad' first adds black bands. Beware of 'pad': detectors
            differ in shape, so the width of the bands names the scanner, a shortcut that no
            counterfactual removes.
        percentiles: window of images deeper than 8 bit without one of their own, percent.
        background: of mammograms: 'remove' makes all black but the breast (`breast_region`).
    """

    size: int = Field(default=64, ge=8, le=4096)
    width: int | None = Field(default=None, ge=8, le=4096)
    fit: Literal["stretch", "pad", "crop"] = "stretch"
    percentiles: tuple[float, float] = (0.5, 99.5)
    background: Literal["keep", "remove"] = "keep"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"percentiles {self.percentiles}: expected 0 <= low < high <= 100")
        return self

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frame, pixels."""
        return self.size, self.width or self.size


def read_frame(path: Path, options: FrameOptions) -> np.ndarray:
    """The frame, uint8 (H, W), of a PNG, JPEG, TIFF, PGM or DICOM file.

    Raises:
        ImageError: the file is missing, empty, blank, unreadable or too large.
    """
    return to_frame(read_grey(path, options.percentiles), options)


def to_frame(grey: np.ndarray, options: FrameOptions) -> np.ndarray:
    """The frame, uint8 (H, W), that an image, (h, w) in [0, 255], is fitted and resized to.

    Raises:
        ImageError: the image or its frame is blank, or it is too large when it is padded.
    """
    _require_not_blank(grey)
    height, width = options.shape
    if options.background == "remove":
        grey = np.where(breast_region(grey), grey, np.float32(0))
    fitted = _fit(grey, options.fit, height / width)
    # Pillow widens the filter's support when it shrinks an image: that is the antialiasing. Of its
    # filters, Hamming leaves the least trace of the original size in the spectrum of radiographs
    # (64 against 128 pixels told apart with AUC .78; bicubic .99, bilinear 1.00), and where the
    # size depends on how a subset was sampled, that trace would be a shortcut to the label.
    resized = Image.fromarray(fitted).resize((width, height), Image.Resampling.HAMMING)
    frame = np.asarray(resized).round().clip(0, 255).astype(np.uint8)
    _require_not_blank(frame)  # as where a smooth window lies far from all values
    return frame


def _require_not_blank(levels: np.ndarray) -> None:
    if levels.min() == levels.max():
        raise ImageError("is blank: all its pixels have the same value")


def read_grey(path: Path, percentiles: tuple[float, float] = (0.5, 99.5)) -> np.ndarray:
    """Grey levels of an image file at its own size, float32 (H, W) in [0, 255], bright = dense.

    Raises:
        ImageError: the file is missing, empty, unreadable or too large.
    """
    if not path.exists():
        raise ImageError("is missing")
    if not path.is_file():
        raise ImageError("is not a regular file")
    if path.stat().st_size == 0:
        raise ImageError("is empty (0 bytes)")
    try:
        if dicom_files.is_dicom(path):
            return dicom_files.read(path, percentiles)
        return raster_files.read(path, percentiles)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError("is no PNG, JPEG, TIFF, PGM or DICOM image") from error
    except Exception as error:  # decoders meet hostile bytes and raise whatever they like
        reason = str(error).replace(str(path), path.name)
        raise ImageError(f"cannot be read ({type(error).__name__}: {reason})") from error


def breast_region(grey: np.ndarray) -> np.ndarray:
    """Mask of the breast on a mammogram (H, W), without markers, labels and the name plate.

    The rule of the paper's released code (`preprocess_breast` in `data_handling/mammo.py`): of
    everything brighter than nearly black, the largest connected part is the breast. It leaves out
    what does not touch the breast, and nothing that does.

    Raises:
        ImageError: nothing is brighter than nearly black.
    """
    parts, n = ndimage.label(grey > NEARLY_BLACK)  # neighbours share an edge
    if n == 0:
        raise ImageError("holds no breast: all its pixels are nearly black")
    areas = np.bincount(parts.ravel())
    areas[0] = 0  # the background
    return np.asarray(parts == areas.argmax())


def _fit(grey: np.ndarray, fit: str, proportion: float) -> np.ndarray:
    """The image, cropped or padded to the proportion h / w; as it is for 'stretch'.

    Raises:
        ImageError: padded, it is too large.
    """
    height, width = grey.shape
    if fit == "crop":
        high = min(height, max(1, round(width * proportion)))
        wide = min(width, max(1, round(height / proportion)))
        top, left = (height - high) // 2, (width - wide) // 2
        return np.ascontiguousarray(grey[top : top + high, left : left + wide])
    if fit == "pad":
        high, wide = max(height, round(width * proportion)), max(width, round(height / proportion))
        grey_levels.require_size(wide, high)
        top, left = (high - height) // 2, (wide - width) // 2
        return np.pad(grey, ((top, high - height - top), (left, wide - width - left)))
    return grey
