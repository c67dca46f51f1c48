"""The file formats of made-up releases."""

import csv
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


def truncate(path: Path) -> None:
    """Cuts a file down to its first half."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def write_radiograph(path: Path, picture: np.ndarray, tags: Mapping[str, str]) -> None:
    """Writes a DICOM file with a JPEG in it, 8 bits, as the RSNA's."""
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=95)
    dataset = _dataset(_RADIOGRAPH, JPEGBaseline8Bit, picture.shape, 8, tags)
    dataset.PixelData = encapsulate([file.getvalue()])
    _save(dataset, path)


def write_mammogram(
    path: Path, picture: np.ndarray, tags: Mapping[str, str], inverted: bool = False
) -> None:
    """Writes a DICOM file of 12 bits with a window.

    Args:
        path: of the file.
        picture: uint8 (H, W), bright = dense.
        tags: attributes by their DICOM keyword.
        inverted: whether the photometric interpretation is MONOCHROME1.
    """
    deep = picture.astype(np.uint16) * 16
    dataset = _dataset(_MAMMOGRAM, ExplicitVRLittleEndian, picture.shape, 12, tags)
    dataset.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    dataset.PixelData = (4095 - deep if inverted else deep).tobytes()
    _save(dataset, path)


def _dataset(
    kind: UID, syntax: UID, shape: tuple[int, ...], bits: int, tags: Mapping[str, str]
) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = kind
    # Made from the content, so that the same release comes out twice.
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(sorted(tags.items()))])
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.BitsAllocated = 8 if bits == 8 else 16
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def _save(dataset: FileDataset, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
