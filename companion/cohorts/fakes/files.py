"""The file formats of made-up releases."""

import csv
import hashlib
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

_MAMMOGRAM = UID("1.2.840.10008.5.1.4.1.1.1.2")  # Digital Mammography X-Ray Image, for presentation
_RADIOGRAPH = UID("1.2.840.10008.5.1.4.1.1.7")  # Secondary Capture Image


def identifier(*key: object) -> str:
    """32 hexadecimal digits, another for every key."""
    text = "/".join(map(str, key))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def write_table(path: Path, header: str, rows: Iterable[Mapping[str, object]]) -> None:
    """Writes a CSV file; what a row does not name is empty, and a column may occur twice."""
    columns = header.split(",")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([row.get(column, "") for column in columns] for row in rows)


def write_png16(path: Path, picture: np.ndarray) -> None:
    """Writes a PNG of 16 bits with values of 12."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.astype(np.uint16) * 16).save(path)


def write_jpeg(path: Path, picture: np.ndarray) -> None:
    """Writes a grey JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=95)


def write_radiograph(path: Path, picture: np.ndarray, tags: Mapping[str, str]) -> None:
    """Writes a DICOM file with a JPEG in it, 8 bits, as the RSNA's."""
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=95)
    pixels = encapsulate([file.getvalue()])
    _write_dicom(path, _RADIOGRAPH, JPEGBaseline8Bit, 8, picture, pixels, tags)


def write_mammogram(
    path: Path, picture: np.ndarray, tags: Mapping[str, object], inverted: bool = False
) -> None:
    """Writes a DICOM file of 12 bits with a window.

    Args:
        path: of the file.
        picture: uint8 (H, W), bright = dense.
        tags: attributes by their DICOM keyword.
        inverted: whether the photometric interpretation is MONOCHROME1.
    """
    deep = picture.astype(np.uint16) * 16
    pixels = (4095 - deep if inverted else deep).tobytes()
    window: dict[str, object] = {"WindowCenter": 2048, "WindowWidth": 4096}
    if inverted:
        window |= {"PhotometricInterpretation": "MONOCHROME1"}
    _write_dicom(path, _MAMMOGRAM, ExplicitVRLittleEndian, 12, picture, pixels, {**tags, **window})


def _write_dicom(
    path: Path,
    kind: UID,
    syntax: UID,
    bits: int,
    picture: np.ndarray,
    pixels: bytes,
    tags: Mapping[str, object],
) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = kind, syntax
    # Made from the content, so that the same release comes out twice.
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = picture.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.BitsAllocated = 8 if bits == 8 else 16
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = pixels
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
