"""DICOM."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit

from tests.cohorts.variants.picture import (
    PERCENTILES,
    PICTURE,
    Made,
    Maker,
    X,
    Y,
    channels,
    inverted,
    plain,
    signed,
    unsigned,
)


def write_dicom(path: Path, pixels: np.ndarray, **tags: Any) -> Path:
    """A minimal single-frame DICOM file; `tags` override the defaults."""
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    bits = 8 * pixels.dtype.itemsize
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, int(pixels.dtype.kind == "i")
    dataset.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    if pixels.ndim == 3:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path, enforce_file_format=True)
    return path


def dicom(values: np.ndarray, made: Made, **tags: Any) -> Maker:
    def make(path: Path) -> Made:
        write_dicom(path, values, **tags)
        return made

    return make


def dicom_bits(bits: int, **tags: Any) -> Maker:
    return dicom(unsigned(bits), plain(bits), BitsStored=bits, HighBit=bits - 1, **tags)


def changed(path: Path, values: np.ndarray, pixels: bytes, **tags: Any) -> pydicom.Dataset:
    """Writes a file and gives it back with other pixels, to be changed further and saved."""
    write_dicom(path, values, **tags)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = pixels
    return dataset


def dicom_one_bit(path: Path) -> Made:
    bits = np.packbits(unsigned(1).ravel(), bitorder="little").tobytes()
    changed(path, unsigned(1), bits, BitsAllocated=1, BitsStored=1, HighBit=0).save_as(path)
    return plain(1)


def dicom_float(path: Path) -> Made:
    dataset = changed(path, unsigned(16), b"")
    for key in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        del dataset[key]
    dataset.BitsAllocated, dataset.FloatPixelData = 32, PICTURE.astype("<f4").tobytes()
    dataset.save_as(path)
    return Made(PICTURE, 0, 1)


def dicom_big_endian(path: Path) -> Made:
    dataset = changed(path, unsigned(16), unsigned(16).byteswap().tobytes())
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    pydicom.dcmwrite(path, dataset, little_endian=False, implicit_vr=False, force_encoding=True)
    return plain(16)


def dicom_planar(path: Path) -> Made:
    colour, made = channels(8)
    planes = np.moveaxis(colour, -1, 0).tobytes()
    changed(path, colour, planes, PlanarConfiguration=1).save_as(path)
    return made


def dicom_jpeg(path: Path) -> Made:
    file = io.BytesIO()
    Image.fromarray(unsigned(8)).save(file, "JPEG", quality=95)
    dataset = changed(path, unsigned(8), encapsulate([file.getvalue()]))
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)
    return plain(8)


def dicom_palette(path: Path) -> Made:
    """Entries of 8 bits that lie in 16 bits each."""
    kind = {"PhotometricInterpretation": "PALETTE COLOR"}
    dataset = changed(path, unsigned(8), unsigned(8).tobytes(), **kind)
    for name in ("Red", "Green", "Blue"):
        dataset.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, 8])
        entries = np.arange(255, -1, -1, dtype="<u2").tobytes()
        setattr(dataset, f"{name}PaletteColorLookupTableData", entries)
    dataset.save_as(path)
    return inverted(8)


def dicom_window(function: str, **tags: Any) -> Maker:
    """The first of two windows, from a quarter to three quarters, as pydicom applies it."""
    tags |= {"WindowCenter": [2048, 9], "WindowWidth": [2048, 9], "VOILUTFunction": function}

    def make(path: Path) -> Made:
        write_dicom(path, unsigned(12), BitsStored=12, HighBit=11, **tags)
        values = pydicom.pixels.apply_windowing(unsigned(12), pydicom.dcmread(path))
        own = 255 * values / 4095
        if "MONOCHROME1" in tags.values():
            own = 255 - own
        return Made(unsigned(12), 0, 4095, own)

    return make


def lookup_table(entries: np.ndarray, first: int, bits: int) -> pydicom.Dataset:
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", [int(entry) for entry in entries])
    return item


def dicom_voi(bits: int, first: int = 0) -> Maker:
    """A curve of 12 bits in a table that states `bits`; with `first` below 0, of signed values."""
    curve = np.round(4095 * np.linspace(0, 1, 4096) ** 0.5).astype(np.uint16)
    stored = unsigned(12) if first == 0 else (unsigned(12).astype(np.int16) + first)
    own = 255.0 * curve[unsigned(12)] / 4095
    return dicom(
        stored.astype(np.int16 if first else np.uint16),
        Made(stored, first, first + 4095, own),
        BitsStored=12,
        HighBit=11,
        VOILUTSequence=[lookup_table(curve, first, bits)],
    )


def dicom_padded(least: int, limit: int | None = None, **tags: Any) -> Maker:
    """A margin of padding that is black and no part of the window."""

    def make(path: Path) -> Made:
        outside, values = X >= 40, unsigned(16) // 2
        low, high = np.percentile(values[~outside], PERCENTILES)
        levels = (255 * (values - low) / (high - low)).clip(0, 255)
        padding = np.where(Y % 2, least, least if limit is None else limit)
        if limit is not None:
            tags["PixelPaddingRangeLimit"] = limit
        if tags.get("PhotometricInterpretation") == "MONOCHROME1":
            levels = 255 - levels
        stored = np.where(outside, padding, values).astype(np.uint16)
        write_dicom(path, stored, PixelPaddingValue=least, **tags)
        return Made(stored, 0, 65535, np.where(outside, 0, levels), "padding black")

    return make


UNSCALED = {"RescaleSlope": 1, "RescaleIntercept": 0}
WHITE_LOWEST = {"PhotometricInterpretation": "MONOCHROME1"}
_RGB8 = channels(8)
_YCBCR = np.asarray(Image.fromarray(_RGB8[0]).convert("YCbCr"))
_INVERTING = lookup_table(np.arange(4095, -1, -1), 0, 12)
DICOM: dict[str, Maker] = {
    "grey, 1 bit": dicom_one_bit,
    "grey, 4 bit": dicom_bits(4),
    "grey, 8 bit": dicom_bits(8),
    "grey, 8 bit in 16": dicom(
        unsigned(8).astype("u2"), plain(8), BitsStored=8, HighBit=7, **UNSCALED
    ),
    "grey, 12 bit in 16": dicom_bits(12),
    "grey, 16 bit": dicom_bits(16),
    "grey, 32 bit": dicom_bits(32),
    "signed, 8 bit": dicom(*signed(8)),
    "signed, 16 bit": dicom(*signed(16)),
    "float, 32 bit": dicom_float,
    "big-endian, 16 bit": dicom_big_endian,
    "white lowest, 8 bit": dicom(unsigned(8), inverted(8), **WHITE_LOWEST),
    "white lowest, 16 bit": dicom(
        unsigned(16), inverted(16), PresentationLUTShape="INVERSE", **WHITE_LOWEST
    ),
    "RGB, 8 bit": dicom(*_RGB8),
    "RGB, 12 bit in 16": dicom(*channels(12), BitsStored=12, HighBit=11),
    "RGB, 8 bit, several planes": dicom_planar,
    "palette": dicom_palette,
    "YCbCr": dicom(_YCBCR, _RGB8[1], PhotometricInterpretation="YBR_FULL"),
    "Lab, HSV": dicom(*_RGB8, PhotometricInterpretation="HSV"),
    "JPEG inside": dicom_jpeg,
    "window, linear": dicom_window("LINEAR"),
    "window, linear exact": dicom_window("LINEAR_EXACT"),
    "window, sigmoid, white lowest": dicom_window("SIGMOID", **WHITE_LOWEST),
    "window of another function": dicom(
        unsigned(12), plain(12), WindowCenter=9, WindowWidth=9, VOILUTFunction="CUBIC"
    ),
    "VOI LUT": dicom_voi(12),
    "VOI LUT that misstates its bits": dicom_voi(16),
    "VOI LUT of signed values": dicom_voi(12, first=-2048),
    "modality LUT": dicom(
        unsigned(12), inverted(12), BitsStored=12, HighBit=11, ModalityLUTSequence=[_INVERTING]
    ),
    "padding": dicom_padded(65535),
    "padding, a range, white lowest": dicom_padded(60000, 65000, **WHITE_LOWEST),
    "bits not the lowest": dicom(unsigned(12) << 4, plain(12), BitsStored=12, HighBit=15),
    "several pages or frames": dicom(unsigned(8), plain(8), NumberOfFrames=2),
}
