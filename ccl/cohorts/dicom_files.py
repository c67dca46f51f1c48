"""One DICOM file becomes grey levels as a viewer would show them.

Source: DICOM PS3.3 C.11.1 (modality LUT), C.11.2 (VOI LUT), C.7.6.3 (photometric interpretation),
https://dicom.nema.org/medical/dicom/current/output/html/part03.html
"""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.filereader import read_file_meta_info
from pydicom.pixels import (
    apply_color_lut,
    apply_modality_lut,
    apply_voi,
    get_decoder,
    pixel_array,
)

from ccl.cohorts.errors import ImageError

_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as Pillow's "L"


def is_dicom(path: Path) -> bool:
    """Whether a file starts as DICOM does: 128 free bytes, then 'DICM'."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read(path: Path, percentiles: tuple[float, float], max_pixels: int) -> np.ndarray:
    """Reads a single-frame DICOM file, float32 (H, W) in [0, 255], bright = dense.

    Rescale and window are applied, MONOCHROME1 is inverted, colour becomes luminance.

    Raises:
        ImageError: no pixels, several frames, more pixels than `max_pixels`, or a compression
            whose decoder is not installed or whose size nothing bounds.
    """
    _require_not_deflated(path)
    dataset = pydicom.dcmread(path)
    _require_one_frame(dataset, max_pixels)
    _require_decoder(dataset)
    if dataset.get("SamplesPerPixel", 1) > 1 or _photometric(dataset) == "PALETTE COLOR":
        return 255 * _luminance(dataset)
    values = apply_modality_lut(pixel_array(dataset), dataset).astype(np.float32)
    shown = _windowed(values, dataset, percentiles)
    if _photometric(dataset) == "MONOCHROME1":
        shown = 1 - shown
    return (255 * shown).astype(np.float32)


def percentile_window(values: np.ndarray, percentiles: tuple[float, float]) -> np.ndarray:
    """Maps values between two percentiles onto [0, 1], clipped; float32, same shape.

    Raises:
        ImageError: some value is not finite.
    """
    if not np.isfinite(values).all():
        raise ImageError("holds values that are not finite")
    low, high = (float(level) for level in np.percentile(values, percentiles))
    if low == high:  # a few bright pixels on an even ground: the percentiles miss them
        low, high = float(values.min()), float(values.max())
    return ((values - low) / ((high - low) or 1)).clip(0, 1).astype(np.float32)


def _require_not_deflated(path: Path) -> None:
    """Refuses a file that is compressed as a whole, which pydicom unpacks before anything is known.

    A few megabytes can hold gigabytes so; other compressions are of pixels, whose number is stated.
    """
    syntax = read_file_meta_info(path).get("TransferSyntaxUID")
    if syntax is not None and syntax.is_transfer_syntax and syntax.is_deflated:
        raise ImageError(
            f"is compressed as '{syntax.name}', of any size unpacked; save it as other"
        )


def _require_one_frame(dataset: pydicom.Dataset, max_pixels: int) -> None:
    if not any(key in dataset for key in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise ImageError("is DICOM without an image")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ImageError(f"holds {frames} frames, expected one")
    if dataset.Rows * dataset.Columns > max_pixels:
        raise ImageError(f"claims {dataset.Columns} x {dataset.Rows} pixels, more than is read")


def _require_decoder(dataset: pydicom.Dataset) -> None:
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise ImageError(f"is compressed as '{syntax.name}', which pydicom cannot read") from error
    if not decoder.is_available:
        needs = "; ".join(decoder.missing_dependencies)
        raise ImageError(f"is compressed as '{syntax.name}'; install a decoder: {needs}")


def _photometric(dataset: pydicom.Dataset) -> str:
    return str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))


def _luminance(dataset: pydicom.Dataset) -> np.ndarray:
    """Colour as luminance in [0, 1]."""
    pixels = pixel_array(dataset)  # YCbCr comes out as RGB
    if _photometric(dataset) == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
    top = np.iinfo(pixels.dtype).max
    return pixels[..., :3].astype(np.float32) @ _LUMINANCE / top


def _windowed(
    values: np.ndarray, dataset: pydicom.Dataset, percentiles: tuple[float, float]
) -> np.ndarray:
    """The file's own table or window, else one between percentiles; in [0, 1]."""
    if dataset.get("VOILUTSequence"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        return apply_voi(values.astype(np.int64), dataset).astype(np.float32) / (2**bits - 1)
    center, width = (_first(dataset, key) for key in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width <= 0:
        return percentile_window(values, percentiles)
    return _window(values, center, width, str(dataset.get("VOILUTFunction") or "LINEAR"))


def _first(dataset: pydicom.Dataset, key: str) -> float | None:
    """First of one or several values; a file may offer several windows."""
    value = dataset.get(key)
    if value is None or value == "":
        return None
    return float(value[0] if isinstance(value, pydicom.multival.MultiValue) else value)


def _window(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3, scaled to [0, 1]."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp((-4 * (values - center) / width).clip(-80, 80)))
    if function == "LINEAR_EXACT":
        return ((values - center) / width + 0.5).clip(0, 1)
    return ((values - (center - 0.5)) / max(width - 1, 1e-6) + 0.5).clip(0, 1)
