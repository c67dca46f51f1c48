"""One DICOM file becomes grey levels as a viewer would show them.

Source: DICOM PS3.3 C.11.1 (modality LUT), C.11.2 (VOI LUT), C.7.6.3 (photometric interpretation),
C.7.5.1 (pixel padding), C.11.6 (presentation LUT shape),
https://dicom.nema.org/medical/dicom/current/output/html/part03.html
"""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.filereader import read_file_meta_info
from pydicom.pixels import apply_color_lut, get_decoder, pixel_array

from companion.cohorts.errors import ImageError
from companion.cohorts.importing import grey_levels

_GREY = ("MONOCHROME1", "MONOCHROME2")
# YCbCr comes out of pydicom as RGB; other kinds, retired by the standard, as they are
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")


def is_dicom(path: Path) -> bool:
    """Whether a file starts as DICOM does: 128 free bytes, then 'DICM'."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read(path: Path, percentiles: tuple[float, float]) -> np.ndarray:
    """Grey levels of a single-frame DICOM file, float32 (H, W) in [0, 255], bright = dense.

    Rescale and window are applied, MONOCHROME1 is inverted, padding is black, colour becomes
    luminance.

    Raises:
        ImageError: no pixels, several frames, too many pixels, a compression whose decoder is not
            installed or whose size nothing bounds, or bits or colours that are read wrongly.
    """
    _require_not_deflated(path)
    dataset = pydicom.dcmread(path)
    _require_one_frame(dataset)
    _require_decoder(dataset)
    _require_aligned(dataset)
    if dataset.get("SamplesPerPixel", 1) > 1 or _photometric(dataset) == "PALETTE COLOR":
        return _luminance(dataset)
    if _photometric(dataset) not in _GREY:
        raise ImageError(f"is DICOM in '{_photometric(dataset)}'; expected {' or '.join(_GREY)}")
    stored = pixel_array(dataset)
    padded = _padding_mask(dataset)
    levels = _apply_window(stored, ~padded, dataset, percentiles)
    # INVERSE goes with MONOCHROME1 and says the same: together they invert once
    if _photometric(dataset) == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE":
        levels = 255 - levels
    return np.where(padded, np.float32(0), levels)


def _require_not_deflated(path: Path) -> None:
    """Refuses a file that is compressed as a whole, which pydicom unpacks before anything is known.

    A few megabytes can hold gigabytes so; other compressions are of pixels, whose number is stated.
    """
    syntax = read_file_meta_info(path).get("TransferSyntaxUID")
    if syntax is not None and syntax.is_transfer_syntax and syntax.is_deflated:
        raise ImageError(
            f"is compressed as '{syntax.name}', of any size unpacked; save it as other"
        )


def _require_one_frame(dataset: pydicom.Dataset) -> None:
    if not any(key in dataset for key in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise ImageError("is DICOM without an image")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ImageError(f"holds {frames} frames, expected one")
    grey_levels.require_size(dataset.Columns, dataset.Rows)


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


def _require_aligned(dataset: pydicom.Dataset) -> None:
    """Refuses values that do not fill the lowest bits, of which pydicom would cut off the top."""
    bits, highest = dataset.get("BitsStored"), dataset.get("HighBit")
    native = not dataset.file_meta.TransferSyntaxUID.is_encapsulated
    if native and None not in (bits, highest) and highest != bits - 1:
        raise ImageError(
            f"stores {bits} bits of which {highest} is the highest; expected {bits - 1}"
        )


def _photometric(dataset: pydicom.Dataset) -> str:
    return str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))


def _luminance(dataset: pydicom.Dataset) -> np.ndarray:
    """Colour as luminance, float32 (H, W) in [0, 255]."""
    pixels = pixel_array(dataset)
    top = 2 ** int(dataset.BitsStored) - 1
    if _photometric(dataset) == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
        top = 255 if pixels.max() <= 255 else 65535  # 8-bit entries may lie in 16 bits each
    elif _photometric(dataset) not in _COLOUR:
        raise ImageError(f"is DICOM in '{_photometric(dataset)}'; save it as RGB or grey")
    return grey_levels.rescale(grey_levels.luminance(pixels), 0, top)


def _padding_mask(dataset: pydicom.Dataset) -> np.ndarray:
    """Mask of the pixels filled in round the image, bool (H, W)."""
    for kind in ("", "Float", "DoubleFloat"):
        value = dataset.get(f"{kind}PixelPaddingValue")
        if value is not None:
            break
    else:
        return np.zeros((dataset.Rows, dataset.Columns), dtype=bool)
    limit = dataset.get(f"{kind}PixelPaddingRangeLimit")
    stored = pixel_array(dataset, correct_unused_bits=False)  # padding may lie beyond BitsStored
    ends = np.array([value, value if limit is None else limit])
    if stored.dtype.kind in "iu":  # -2000 may be written as 63536, and the other way round
        ends = ends.astype(np.int64).astype(stored.dtype)
    return np.asarray((stored >= ends.min()) & (stored <= ends.max()))


def _apply_window(
    stored: np.ndarray,
    inside: np.ndarray,
    dataset: pydicom.Dataset,
    percentiles: tuple[float, float],
) -> np.ndarray:
    """Grey levels by the file's own table or window, else all that 8 bits hold, else percentiles.

    `inside`, bool (H, W), is where there is no padding, which must not set the window.
    """
    values = _apply_modality(stored, dataset)
    if dataset.get("VOILUTSequence"):
        return _apply_voi_lut(values, dataset.VOILUTSequence[0], dataset)
    center, width = (_first_number(dataset, key) for key in ("WindowCenter", "WindowWidth"))
    if center is not None and width is not None and width > 0:
        function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
        return (255 * _window(values, center, width, function)).astype(np.float32)
    bits = int(dataset.get("BitsStored") or 16)
    if stored.dtype.kind in "iu" and bits <= 8 and not dataset.get("ModalityLUTSequence"):
        ends = grey_levels.integer_range(bits, signed=stored.dtype.kind == "i")
        low, high = np.sort(_apply_modality(np.array(ends, dtype=np.int16), dataset))
        return grey_levels.rescale(values, float(low), float(high))
    return grey_levels.percentile_window(values, percentiles, counted=inside)


def _apply_modality(stored: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    """Stored values after the modality LUT or rescale, floats, same shape."""
    if dataset.get("ModalityLUTSequence"):
        entries, first, _ = _lookup_table(dataset.ModalityLUTSequence[0], dataset, stored)
        return grey_levels.to_float(_look_up(stored, entries, first))
    slope, intercept = (_first_number(dataset, f"Rescale{key}") for key in ("Slope", "Intercept"))
    values = grey_levels.to_float(stored)
    if slope is None or intercept is None:
        return values
    return (values.astype(np.float64) * slope + intercept).astype(values.dtype)


def _apply_voi_lut(
    values: np.ndarray, item: pydicom.Dataset, dataset: pydicom.Dataset
) -> np.ndarray:
    """What a VOI LUT makes of values, float32 in [0, 255].

    Where the descriptor states other bits than the largest entry takes, it is the largest entry
    that is white, as viewers have it.
    """
    entries, first, bits = _lookup_table(item, dataset, values)
    largest = int(entries.max())
    top = 2**bits - 1 if largest.bit_length() == bits else largest
    return grey_levels.rescale(_look_up(values, entries, first).astype(np.float32), 0, top)


def _lookup_table(
    item: pydicom.Dataset, dataset: pydicom.Dataset, values: np.ndarray
) -> tuple[np.ndarray, int, int]:
    """Entries of a lookup table, the value that the first is for, and the bits it states.

    pydicom's own `apply_modality_lut` and `apply_voi` take the stated bits at their word: entries
    that exceed them, and tables of more than 256 entries of 8 bits, come out wrong or as errors.
    """
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    count = count % 2**16 or 2**16
    if first >= 2**15 and values.min() < 0:  # a negative number, written as unsigned
        first -= 2**16
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        data = np.frombuffer(data, dtype=f"{order}u2" if len(data) >= 2 * count else np.uint8)
    entries = np.atleast_1d(np.asarray(data)).astype(np.int64)[:count] % 2**16
    if len(entries) < count:
        raise ImageError(f"has a lookup table of {len(entries)} entries that states {count}")
    return entries, first, bits


def _look_up(values: np.ndarray, entries: np.ndarray, first: int) -> np.ndarray:
    """Entry of each value; those below the first or beyond the last get these."""
    return np.asarray(entries[(values.astype(np.int64) - first).clip(0, len(entries) - 1)])


def _first_number(dataset: pydicom.Dataset, key: str) -> float | None:
    """First of one or several numbers; a file may offer several windows."""
    value = dataset.get(key)
    if isinstance(value, pydicom.multival.MultiValue):
        value = value[0] if len(value) else None
    return None if value is None or value == "" else float(value)


def _window(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3, scaled to [0, 1]."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp((-4 * (values - center) / width).clip(-80, 80)))
    if function not in ("LINEAR", "LINEAR_EXACT"):
        raise ImageError(f"has a window of the unknown function '{function}'")
    if function == "LINEAR_EXACT" or width < 1:  # LINEAR knows no width below 1
        return ((values - center) / width + 0.5).clip(0, 1)
    return ((values - (center - 0.5)) / max(width - 1, 1e-6) + 0.5).clip(0, 1)
