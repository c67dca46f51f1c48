"""Every image becomes the same kind of frame, and every bad file says what is wrong with it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from skimage import measure

from companion.cohorts.errors import ImageError
from companion.cohorts.fakes.pictures import LABEL_PLATE, breast
from companion.cohorts.importing.image_files import (
    FrameOptions,
    breast_region,
    read_frame,
    read_grey,
    to_frame,
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


def test_frame_is_antialiased(tmp_path: Path) -> None:
    checks = np.indices((64, 64)).sum(axis=0) % 2 * np.uint8(255)
    Image.fromarray(checks.astype(np.uint8)).save(tmp_path / "a.png")
    frame = read_frame(tmp_path / "a.png", FrameOptions(size=8))
    assert frame.shape == (8, 8)
    assert frame.dtype == np.uint8
    np.testing.assert_allclose(frame, 127.5, atol=3)  # every eighth pixel alone would be 0


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not a regular file"):
        read_frame(tmp_path, FrameOptions())


def test_frames_need_not_be_square(tmp_path: Path) -> None:
    """Stretched, cropped to and padded to the frame's proportions, which are 2 to 1."""
    grey = np.zeros((40, 40), np.uint8)
    grey[:, :20], grey[:, 20:] = 40, 200
    Image.fromarray(grey).save(tmp_path / "halves.png")
    made = {
        fit: read_frame(
            tmp_path / "halves.png",
            FrameOptions.model_validate({"size": 16, "width": 8, "fit": fit}),
        )
        for fit in ("stretch", "crop", "pad")
    }
    assert {frame.shape for frame in made.values()} == {(16, 8)}
    # Cropped, 20 of the 40 columns remain; the edge in the middle stays there.
    for fit in ("stretch", "crop"):
        assert (made[fit][:, :3] == 40).all()
        assert (made[fit][:, 5:] == 200).all()
    assert made["pad"][5:11].min() >= 40
    assert made["pad"][:3].max() == made["pad"][13:].max() == 0


@pytest.mark.parametrize("shape", [(36, 50), (50, 30), (32, 40)])
def test_crop_is_the_largest_central_part(tmp_path: Path, shape: tuple[int, int]) -> None:
    """Cropping by hand first changes nothing."""
    height, width = shape
    grey = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    high, wide = min(height, round(width * 4 / 3)), min(width, round(height * 3 / 4))
    top, left = (height - high) // 2, (width - wide) // 2
    Image.fromarray(grey).save(tmp_path / "whole.png")
    Image.fromarray(grey[top : top + high, left : left + wide]).save(tmp_path / "part.png")
    options = FrameOptions(size=12, width=9, fit="crop")
    whole = read_frame(tmp_path / "whole.png", options)
    np.testing.assert_array_equal(whole, read_frame(tmp_path / "part.png", options))


def test_of_a_mammogram_the_largest_bright_part_stays() -> None:
    picture = breast(np.random.default_rng(0), 2, 1.0).astype(np.float32)
    parts = measure.label(picture > 5, connectivity=1)
    largest = max(measure.regionprops(parts), key=lambda part: part.area)
    np.testing.assert_array_equal(breast_region(picture), parts == largest.label)
    height, width = picture.shape
    options = FrameOptions(size=height, width=width, background="remove")
    expected = np.where(parts == largest.label, picture, 0)
    np.testing.assert_allclose(to_frame(picture, options), expected, atol=0.5)
    assert expected[LABEL_PLATE].max() == 0 < picture[LABEL_PLATE].max()
    with pytest.raises(ImageError, match="no breast"):
        breast_region(np.full((4, 4), 5.0))


@pytest.mark.parametrize(
    ("syntax", "said"),
    [
        (pydicom.uid.JPEG2000, r"'JPEG 2000.*install a decoder: x - requires openjpeg"),
        (pydicom.uid.MPEG2MPML, r"'MPEG2.*which pydicom cannot read"),
    ],
)
def test_dicom_without_a_decoder_names_compression_and_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: str, said: str
) -> None:
    path = write_dicom(tmp_path / "a.dcm", np.arange(16, dtype=np.uint8).reshape(4, 4))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = pydicom.encaps.encapsulate([bytes(16)])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path)
    if syntax == pydicom.uid.JPEG2000:
        lacking = SimpleNamespace(missing_dependencies=["x - requires openjpeg"])
        lacking.is_available = False
        monkeypatch.setattr(
            "companion.cohorts.importing.dicom_files.get_decoder", lambda _: lacking
        )
    with pytest.raises(ImageError, match=said):
        read_grey(path)
