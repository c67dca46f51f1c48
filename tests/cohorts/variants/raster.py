"""PNG, JPEG and the family of PGM."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.cohorts.variants.picture import (
    PICTURE,
    Made,
    Maker,
    alpha,
    channels,
    inverted,
    packed_rows,
    plain,
    unsigned,
)


def png(bits: int, colour: int, values: np.ndarray, made: Made, clear: bytes = b"") -> Maker:
    """`colour` 0 grey, 2 RGB, 3 a palette that inverts, 4 grey and alpha, 6 RGB and alpha."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    def make(path: Path) -> Made:
        height, width = values.shape[:2]
        lines = b"".join(b"\0" + row for row in packed_rows(values.reshape(height, -1), bits))
        parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))]
        if colour == 3:
            parts.append(
                chunk(b"PLTE", np.repeat(np.arange(255, -1, -1), 3).astype("u1").tobytes())
            )
        if clear:
            parts.append(chunk(b"tRNS", clear))
        parts += [chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")]
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
        return made

    return make


def pgm(kind: str, most: int, values: np.ndarray, made: Made) -> Maker:
    def make(path: Path) -> Made:
        height, width = values.shape[:2]
        data = values.astype(">u2" if most > 255 else "u1").tobytes()
        path.write_bytes(f"{kind} {width} {height} {most}\n".encode() + data)
        return made

    return make


def bitmap(path: Path) -> Made:
    data = b"".join(packed_rows(1 - unsigned(1), 1))  # PBM's 1 is black
    path.write_bytes(b"P4 64 48\n" + data)
    return plain(1)


def float_map(path: Path) -> Made:
    path.write_bytes(b"Pf 64 48 -1.0\n" + PICTURE[::-1].astype("<f4").tobytes())
    return Made(PICTURE, 0, 1)


def pillow(kind: str, mode: str, **options: Any) -> Maker:
    """As Pillow saves it. JPEG in CMYK is inverted, as Adobe does it."""

    def make(path: Path) -> Made:
        values, made = (unsigned(8), plain(8)) if mode == "L" else channels(8)
        Image.fromarray(values).convert(mode).save(path, kind, **options)
        return made

    return make


def turned(kind: str) -> Maker:
    """To be turned by 90 degrees to the right."""

    def make(path: Path) -> Made:
        exif = Image.Exif()
        exif[0x0112] = 6
        stored = Image.fromarray(np.ascontiguousarray(np.rot90(unsigned(8))))
        stored.save(path, kind, exif=exif, quality=95)
        return plain(8)

    return make


def animated(path: Path) -> Made:
    image = Image.fromarray(unsigned(8))
    image.save(
        path, "PNG", save_all=True, append_images=[image.transpose(Image.Transpose.ROTATE_180)]
    )
    return plain(8)


_RGB8, _RGB16 = channels(8), channels(16)
PNG: dict[str, Maker] = {
    "grey, 1 bit": png(1, 0, unsigned(1), plain(1)),
    "grey, 4 bit": png(4, 0, unsigned(4), plain(4)),
    "grey, 8 bit": png(8, 0, unsigned(8), plain(8)),
    "grey, 12 bit in 16": png(16, 0, unsigned(12), plain(12)),
    "grey, 16 bit": png(16, 0, unsigned(16), plain(16)),
    "grey and alpha, 8 bit": png(8, 4, np.dstack([unsigned(8), alpha(8)]), plain(8)),
    "grey and alpha, 16 bit": png(16, 4, np.dstack([unsigned(16), alpha(16)]), plain(16)),
    "RGB, 8 bit": png(8, 2, *_RGB8),
    "RGB, 12 bit in 16": png(16, 2, *channels(12)),
    "RGB and alpha, 8 bit": png(8, 6, np.dstack([_RGB8[0], alpha(8)]), _RGB8[1]),
    "RGB and alpha, 16 bit": png(16, 6, np.dstack([_RGB16[0], alpha(16)]), _RGB16[1]),
    "palette": png(8, 3, unsigned(8), inverted(8)),
    "palette with transparency": png(8, 3, unsigned(8), inverted(8), bytes(range(256))),
    "to be turned, 8 bit": turned("PNG"),
    "several pages or frames": animated,
}
JPEG: dict[str, Maker] = {
    "grey, 8 bit": pillow("JPEG", "L", quality=95),
    "RGB, 8 bit": pillow("JPEG", "RGB", quality=95),
    "YCbCr": pillow("JPEG", "YCbCr", quality=95),
    "CMYK, 8 bit": pillow("JPEG", "CMYK", quality=95),
    "to be turned, 8 bit": turned("JPEG"),
}
PGM: dict[str, Maker] = {
    "grey, 1 bit": bitmap,
    "grey, 4 bit": pgm("P5", 15, unsigned(4), plain(4)),
    "grey, 8 bit": pgm("P5", 255, unsigned(8), plain(8)),
    "grey, 12 bit in 16": pgm("P5", 4095, unsigned(12), plain(12)),
    "grey, 16 bit": pgm("P5", 65535, unsigned(16), plain(16)),
    "float, 32 bit": float_map,
    "RGB, 8 bit": pgm("P6", 255, *_RGB8),
    "RGB, 12 bit in 16": pgm("P6", 4095, *channels(12)),
}
