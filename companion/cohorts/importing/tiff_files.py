"""TIFF files that Pillow refuses or would narrow to 8 bits: 16-bit colour, alpha, floats, signs.

Source: TIFF 6.0, https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf
"""

import zlib
from math import prod
from pathlib import Path

import numpy as np
import tifffile
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, TiffPage

from companion.cohorts.errors import ImageError
from companion.cohorts.importing import grey_levels

_DEFLATE = (COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE)
_SUPPORTED = (COMPRESSION.NONE, COMPRESSION.PACKBITS, *_DEFLATE)  # the others want further packages
_CHANNELS: dict[int, int] = {
    PHOTOMETRIC.MINISBLACK: 1,
    PHOTOMETRIC.MINISWHITE: 1,
    PHOTOMETRIC.RGB: 3,
}
_ORIENTATION = 274


def is_tiff(path: Path) -> bool:
    """Whether a file starts as TIFF or BigTIFF does, of either byte order."""
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read(path: Path, percentiles: tuple[float, float]) -> tuple[np.ndarray, int]:
    """Grey levels of a TIFF of one page.

    Returns:
        float32 (H, W) in [0, 255], bright = dense, alpha left out; and how the file says it is to
        be turned, as in EXIF, 1 to 8.

    Raises:
        ImageError: several pages, too many pixels, or a compression or meaning of its channels
            that is not read.
    """
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        if len(tiff.pages) != 1:
            raise ImageError(f"holds {len(tiff.pages)} pages, expected one")
        _require_known(page)
        _require_bounded(page)
        planes = page.asarray(squeeze=False)[:, 0]  # (planes, H, W, samples), one of them 1
        white_is_low = page.photometric == PHOTOMETRIC.MINISWHITE
        turned = page.tags.valueof(_ORIENTATION, 1)
        bits = page.bitspersample
        channels = np.moveaxis(planes, 0, -1).reshape(*planes.shape[1:3], -1)
        extras = page.extrasamples
    wanted = _CHANNELS[page.photometric]
    if EXTRASAMPLE.ASSOCALPHA in extras and np.ptp(channels[..., wanted:]) > 0:
        raise ImageError("has colours multiplied by alpha; save it without alpha")
    grey = grey_levels.luminance(channels) if wanted == 3 else channels[..., 0]
    if wanted == 3 and bits <= 8:
        return grey_levels.rescale(grey, *grey_levels.integer_range(bits, signed=False)), turned
    levels = grey_levels.window(grey, bits, percentiles)
    return (255 - levels if white_is_low else levels), turned


def _require_known(page: TiffPage) -> None:
    """Refuses what would be read wrongly or not at all."""
    meant = getattr(page.photometric, "name", str(page.photometric))
    if page.photometric not in _CHANNELS:
        raise ImageError(f"is a TIFF of {page.bitspersample} bits in {meant}; save it as grey")
    more = page.samplesperpixel - _CHANNELS[page.photometric]
    if more not in (0, 1) or page.imagedepth != 1:
        raise ImageError(
            f"is a TIFF of {page.samplesperpixel} channels and depth {page.imagedepth} in {meant}; "
            "save it as grey or RGB"
        )
    if page.bitspersample not in (8, 16, 32, 64):
        raise ImageError(f"is a TIFF of {page.bitspersample} bits, packed; save it with 16")
    if page.dtype is None or page.dtype.kind not in "uif":
        raise ImageError(f"is a TIFF of numbers of the kind {page.sampleformat}; save it as floats")
    if page.compression not in _SUPPORTED:
        packed = getattr(page.compression, "name", str(page.compression))
        raise ImageError(
            f"is a TIFF of {page.samplesperpixel} x {page.bitspersample} bits packed as {packed}; "
            "save it without compression or with Deflate"
        )


def _require_bounded(page: TiffPage) -> None:
    """Refuses a page, or a compressed part of it, that would unpack to more than it may."""
    within = prod(page.chunks) // (page.samplesperpixel if page.planarconfig == 1 else 1)
    grey_levels.require_size(page.imagewidth, page.imagelength, within)
    if page.compression not in _DEFLATE:  # PackBits unpacks to 64 times as much at most
        return
    limit = prod(page.chunks) * page.bitspersample // 8
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        page.parent.filehandle.seek(offset)
        unpacking = zlib.decompressobj()
        unpacking.decompress(page.parent.filehandle.read(count), limit)
        if unpacking.unconsumed_tail:
            raise ImageError("unpacks to more pixels than it claims")
