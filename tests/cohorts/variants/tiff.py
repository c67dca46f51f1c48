"""TIFF."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from tests.cohorts.variants.picture import (
    PICTURE,
    Made,
    Maker,
    X,
    alpha,
    channels,
    inverted,
    packed_rows,
    plain,
    signed,
    unsigned,
)
from tests.cohorts.variants.raster import pillow


def tiff(values: np.ndarray, made: Made, **options: Any) -> Maker:
    options = {"photometric": "minisblack", "metadata": None} | options

    def make(path: Path) -> Made:
        tifffile.imwrite(path, values, **options)
        return made

    return make


def bare_tiff(bits: int, photometric: int = 1, order: str = "<") -> Maker:
    """A grey TIFF of one strip, of any number of bits."""

    def make(path: Path) -> Made:
        data = b"".join(packed_rows(unsigned(bits), bits))
        tags = [(256, 64), (257, 48), (258, bits), (259, 1), (262, photometric), (273, 8)]
        tags += [(277, 1), (278, 48), (279, len(data))]
        entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags)
        directory = struct.pack(order + "H", len(tags)) + entries + bytes(4)
        magic = b"II" if order == "<" else b"MM"
        path.write_bytes(magic + struct.pack(order + "HI", 42, 8 + len(data)) + data + directory)
        return plain(bits)

    return make


def said_lzw(path: Path) -> Made:
    colour, made = channels(16)
    tifffile.imwrite(path, colour, photometric="rgb", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["Compression"].overwrite(5)
    return made


def pillow_lzw(path: Path) -> Made:
    Image.fromarray(unsigned(16)).save(path, "TIFF", compression="tiff_lzw")
    return plain(16)


def tiff_turned(bits: int) -> Maker:
    stored = np.ascontiguousarray(np.rot90(unsigned(bits)))
    return tiff(stored, plain(bits), extratags=[(274, "H", 1, 6, True)])


def tiff_colour(bits: int, **options: Any) -> Maker:
    colour, made = channels(bits)
    if options.get("planarconfig") == "separate":
        colour = np.ascontiguousarray(np.moveaxis(colour, -1, 0))
    return tiff(colour, made, photometric="rgb", **options)


def tiff_alpha(bits: int, colour: bool, kind: str = "unassalpha") -> Maker:
    values, made = channels(bits) if colour else (unsigned(bits), plain(bits))
    stacked = np.dstack([values, alpha(bits)])
    return tiff(stacked, made, photometric="rgb" if colour else "minisblack", extrasamples=[kind])


_RGB8, _RGB16, _FLOAT = channels(8), channels(16), Made(PICTURE, 0, 1)
_RAMP = np.repeat(np.arange(255, -1, -1, dtype=np.uint16)[None] * 257, 3, axis=0)
TIFF: dict[str, Maker] = {
    "grey, 1 bit": bare_tiff(1),
    "grey, 4 bit": bare_tiff(4),
    "grey, 8 bit": bare_tiff(8),
    "grey, 12 bit in 16": tiff(unsigned(12), plain(12)),
    "grey, 12 bit packed": bare_tiff(12),
    "grey, 12 bit packed, big-endian": bare_tiff(12, order=">"),
    "grey, 16 bit": tiff(unsigned(16), plain(16)),
    "grey, 32 bit": tiff(unsigned(32), plain(32)),
    "signed, 8 bit": tiff(*signed(8)),
    "signed, 16 bit": tiff(*signed(16)),
    "signed, 32 bit": tiff(*signed(32)),
    "float, 16 bit": tiff(PICTURE.astype("f2"), _FLOAT),
    "float, 32 bit": tiff(PICTURE.astype("f4"), _FLOAT),
    "float, 64 bit": tiff(PICTURE, _FLOAT),
    "float, not finite": tiff(np.where(X, PICTURE, np.nan), _FLOAT),
    "big-endian, 16 bit": bare_tiff(16, order=">"),
    "white lowest, 8 bit": tiff(unsigned(8), inverted(8), photometric="miniswhite"),
    "white lowest, 16 bit": tiff(unsigned(16), inverted(16), photometric="miniswhite"),
    "white lowest, 16 bit, big-endian": tiff(
        unsigned(16), inverted(16), photometric="miniswhite", byteorder=">"
    ),
    "grey and alpha, 8 bit": tiff_alpha(8, colour=False),
    "grey and alpha, 16 bit": tiff_alpha(16, colour=False),
    "RGB, 8 bit": tiff_colour(8),
    "RGB, 12 bit in 16": tiff_colour(12),
    "RGB, 16 bit, several planes": tiff_colour(16, planarconfig="separate"),
    "RGB, 8 bit, several planes": tiff_colour(8, planarconfig="separate"),
    "RGB and alpha, 8 bit": tiff_alpha(8, colour=True),
    "RGB and alpha, 16 bit": tiff_alpha(16, colour=True),
    "RGB, float": tiff(
        (_RGB16[0] / 65535).astype("f4"),
        Made(_RGB16[1].grey / 65535, 0, 1),
        photometric="rgb",
    ),
    "RGB times alpha, 16 bit": tiff_alpha(16, colour=True, kind="assocalpha"),
    "three channels without a meaning": tiff(_RGB16[0], _RGB16[1], planarconfig="contig"),
    "palette": tiff(unsigned(8), inverted(8), photometric="palette", colormap=_RAMP),
    "YCbCr": pillow("TIFF", "YCbCr", compression="jpeg", quality=95),
    "CMYK, 8 bit": pillow("TIFF", "CMYK"),
    "CMYK, 16 bit": tiff(np.dstack([unsigned(16)] * 4), plain(16), photometric="separated"),
    "Lab, HSV": tiff(_RGB8[0], _RGB8[1], photometric="cielab"),
    "tiled, 8 bit": tiff(unsigned(8), plain(8), tile=(16, 16)),
    "tiled RGB, 16 bit": tiff_colour(16, tile=(16, 16)),
    "BigTIFF, 16 bit": tiff(unsigned(16), plain(16), bigtiff=True),
    "Deflate, RGB, 16 bit": tiff_colour(16, compression="zlib", predictor=True),
    "LZW, grey, 16 bit": pillow_lzw,
    "LZW, RGB, 16 bit": said_lzw,
    "to be turned, 8 bit": tiff_turned(8),
    "to be turned, 16 bit": tiff_turned(16),
    "to be turned, RGB, 16 bit": tiff(
        np.ascontiguousarray(np.rot90(_RGB16[0])),
        _RGB16[1],
        photometric="rgb",
        extratags=[(274, "H", 1, 6, True)],
    ),
    "several pages or frames": tiff(np.stack([unsigned(8)] * 2), plain(8)),
}
