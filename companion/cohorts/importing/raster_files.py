"""One PNG, JPEG, TIFF or PGM file becomes grey levels; alpha is left out, EXIF's turn is made."""

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from companion.cohorts.errors import ImageError
from companion.cohorts.importing import grey_levels, tiff_files

FORMATS = ("PNG", "JPEG", "TIFF", "PPM")  # PPM is Pillow's name for the family that holds PGM
_PHOTOMETRIC, _BITS, _SAMPLE_FORMAT = 262, 258, 339
_MIN_IS_WHITE, _UNSIGNED, _SIGNED = 0, (1,), (2,)
_NOT_CONVERTIBLE = ("LAB", "La")  # modes of which Pillow makes no grey
# Raw modes that give each byte of a 16-bit PNG, of which Pillow itself keeps the high one alone;
# torchvision reads both, and is giving up its decoders.
_PNG16 = {
    "LA;16B": ("RGBA",),  # four bytes a pixel, as they are
    "RGB;16B": ("RGB;16B", "RGB;16L"),  # high bytes, then as if in the other order: low bytes
    "RGBA;16B": ("RGBA;16B", "RGBA;16L"),
}


def read(path: Path, percentiles: tuple[float, float]) -> np.ndarray:
    """Grey levels of a PNG, JPEG, TIFF or PGM, float32 (H, W) in [0, 255], bright = dense.

    Raises:
        ImageError: several pages, too many pixels, or a kind that is not read.
        UnidentifiedImageError: none of these formats.
    """
    # As a file, not a path: Pillow maps paths into memory and then shears TIFFs turned by 90°
    with path.open("rb") as file:
        try:
            image = Image.open(file, formats=FORMATS)
        except UnidentifiedImageError:
            if not tiff_files.is_tiff(path):
                raise
            return _apply_orientation(*tiff_files.read(path, percentiles))
        with image:
            pages = getattr(image, "n_frames", 1)
            if pages != 1:
                raise ImageError(f"holds {pages} pages, expected one")
            grey_levels.require_size(image.width, image.height)
            if image.format == "TIFF" and not _is_read_exactly(image):
                return _apply_orientation(*tiff_files.read(path, percentiles))
            return _grey_levels(path, image, percentiles)


def _is_read_exactly(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow reads a TIFF's values as they are stored."""
    tags = getattr(image, "tag_v2", {})
    kind = tuple(set(tags.get(_SAMPLE_FORMAT, _UNSIGNED)))
    if max(tags.get(_BITS, (1,))) <= 8:
        return kind == _UNSIGNED and image.mode not in _NOT_CONVERTIBLE
    return image.mode in ("F", "I;16", "I;16B") or (image.mode == "I" and kind == _SIGNED)


def _grey_levels(
    path: Path, image: ImageFile.ImageFile, percentiles: tuple[float, float]
) -> np.ndarray:
    """Grey levels of an image that Pillow has opened."""
    packing = image.tile[0].args
    max_value = packing[1] if image.format == "PPM" and isinstance(packing, tuple) else 255
    if image.mode == "RGB" and max_value > 255:
        raise ImageError("is PPM in colour of more than 8 bits, which are not read; save it as PNG")
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    if image.format == "PNG" and packing in _PNG16:
        return _apply_orientation(_read_png16(path, packing, percentiles), orientation)
    deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
    tags = getattr(image, "tag_v2", {})
    white_is_low = deep and tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE
    upright = ImageOps.exif_transpose(image)
    if not deep:  # Pillow itself inverts 8-bit images whose lowest value is white
        return np.asarray(upright.convert("L"), dtype=np.float32)
    values = grey_levels.to_float(np.asarray(upright))
    levels = grey_levels.percentile_window(values, percentiles)
    return 255 - levels if white_is_low else levels


def _read_png16(path: Path, packing: str, percentiles: tuple[float, float]) -> np.ndarray:
    """A PNG of 16 bits and two to four channels, float32 (H, W) in [0, 255]."""
    halves = []
    for mode in _PNG16[packing]:
        with Image.open(path, formats=("PNG",)) as image:
            image.tile = [image.tile[0]._replace(args=mode)]
            halves.append(np.asarray(image))
    if len(halves) == 1:
        grey = halves[0].view(">u2")[..., 0]
    else:
        grey = grey_levels.luminance(halves[0].astype(np.uint16) * 256 + halves[1])
    return grey_levels.window(grey, 16, percentiles)


def _apply_orientation(levels: np.ndarray, orientation: int) -> np.ndarray:
    """Grey levels, (H, W), upright; `orientation` as in EXIF."""
    image = Image.fromarray(levels)
    image.getexif()[ExifTags.Base.Orientation] = orientation
    return np.asarray(ImageOps.exif_transpose(image))
