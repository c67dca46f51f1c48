"""Every format becomes the same kind of frame, and every bad file says what is wrong with it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from companion.cohorts.errors import ImageError
from companion.cohorts.importing.image_files import FrameOptions, read_frame, read_grey

RAMP = np.linspace(0, 1, 16 * 16).reshape(16, 16)  # dark to bright
FULL = (0.0, 100.0)  # percentiles that keep the whole range


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


def write_image(path: Path, name: str) -> Path:
    """The ramp as a file of some format, without loss."""
    path = path / name
    if name.startswith(("grey8", "rgb8")):
        image = Image.fromarray((255 * RAMP).round().astype(np.uint8))
        (image.convert("RGB") if name.startswith("rgb8") else image).save(path)
    elif name.startswith("grey16"):
        Image.fromarray((65535 * RAMP).round().astype(np.uint16)).save(path)
    elif name.startswith("low12"):  # 12 bit in a 16-bit file
        Image.fromarray((4095 * RAMP).round().astype(np.uint16)).save(path)
    elif name.startswith("float"):
        Image.fromarray((RAMP * 3 - 1).astype(np.float32)).save(path)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "grey8.png",
        "grey8.tif",
        "grey8.pgm",
        "rgb8.png",
        "rgb8.tif",
        "grey16.png",
        "grey16.tif",
        "grey16.pgm",
        "low12.png",
        "low12.tif",
        "float.tif",
    ],
)
def test_every_raster_format_gives_the_same_grey(tmp_path: Path, name: str) -> None:
    grey = read_grey(write_image(tmp_path, name), FULL)
    assert grey.dtype == np.float32
    np.testing.assert_allclose(grey, 255 * RAMP, atol=0.51)


def test_colour_jpeg_becomes_luminance(tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 3), dtype=np.uint8)
    pixels[:, 8:] = (0, 255, 0)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=100, subsampling=0)
    grey = read_grey(tmp_path / "a.jpg")
    np.testing.assert_allclose(grey[:, 12], 150, atol=3)  # 0.587 x 255
    np.testing.assert_allclose(grey[:, 3], 0, atol=3)


def test_percentiles_are_the_window(tmp_path: Path) -> None:
    values = np.arange(100, dtype=np.uint16).reshape(10, 10) * 10
    Image.fromarray(values).save(tmp_path / "a.png")
    grey = read_grey(tmp_path / "a.png", (10, 90))
    low, high = np.percentile(values, (10, 90))
    np.testing.assert_allclose(grey, 255 * ((values - low) / (high - low)).clip(0, 1), atol=1e-3)


def test_tiff_whose_lowest_value_is_white_is_inverted(tmp_path: Path) -> None:
    values = (65535 * RAMP).round().astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={262: 0})
    np.testing.assert_allclose(read_grey(tmp_path / "a.tif", FULL), 255 * (1 - RAMP), atol=0.51)


def test_monochrome2_rescale_and_window(tmp_path: Path) -> None:
    stored = (1000 * RAMP).round().astype(np.uint16)
    path = write_dicom(
        tmp_path / "a.dcm",
        stored,
        RescaleSlope=2,
        RescaleIntercept=-1000,
        WindowCenter=0,
        WindowWidth=1000,
        VOILUTFunction="LINEAR_EXACT",
    )
    expected = ((2.0 * stored - 1000 - 0) / 1000 + 0.5).clip(0, 1)
    np.testing.assert_allclose(read_grey(path), 255 * expected, atol=1e-3)


def test_linear_window_follows_the_standard(tmp_path: Path) -> None:
    stored = np.arange(256, dtype=np.uint16).reshape(16, 16)
    path = write_dicom(tmp_path / "a.dcm", stored, WindowCenter=[100, 9], WindowWidth=[50, 9])
    shown = pydicom.pixels.apply_voi_lut(stored, pydicom.dcmread(path)) / 65535
    np.testing.assert_allclose(read_grey(path), 255 * shown, atol=1e-2)


def test_sigmoid_window_follows_the_standard(tmp_path: Path) -> None:
    stored = np.arange(256, dtype=np.uint16).reshape(16, 16)
    window: dict[str, Any] = {"WindowCenter": 100, "WindowWidth": 50, "VOILUTFunction": "SIGMOID"}
    path = write_dicom(tmp_path / "a.dcm", stored, **window)
    shown = pydicom.pixels.apply_voi_lut(stored, pydicom.dcmread(path)) / 65535
    np.testing.assert_allclose(read_grey(path), 255 * shown, atol=1e-2)


def test_voi_lookup_table_is_applied(tmp_path: Path) -> None:
    stored = np.arange(256, dtype=np.uint16).reshape(16, 16)
    lut = pydicom.Dataset()
    curve = np.floor(4095 * (np.arange(256) / 255) ** 2).astype(np.uint16)
    lut.LUTDescriptor, lut.LUTData = [256, 0, 12], curve.tobytes()
    path = write_dicom(tmp_path / "a.dcm", stored, VOILUTSequence=[lut])
    np.testing.assert_allclose(read_grey(path), curve.reshape(16, 16) * (255.0 / 4095), atol=1e-2)


def test_monochrome1_is_monochrome2_inverted(tmp_path: Path) -> None:
    stored = (4095 * RAMP).round().astype(np.uint16)
    two = write_dicom(tmp_path / "2.dcm", stored)
    one = write_dicom(tmp_path / "1.dcm", stored, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(read_grey(one) + read_grey(two), 255, atol=1e-3)
    assert read_grey(two)[-1, -1] == 255


def test_signed_dicom_without_window_uses_percentiles(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", (2000 * RAMP - 1000).round().astype(np.int16))
    np.testing.assert_allclose(read_grey(path, FULL), 255 * RAMP, atol=0.2)


def test_colour_dicom_becomes_luminance(tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 3), dtype=np.uint8)
    pixels[:, 8:] = (0, 255, 0)
    grey = read_grey(write_dicom(tmp_path / "a.dcm", pixels))
    np.testing.assert_allclose(grey[:, 12], 0.587 * 255, atol=0.1)


def test_frame_is_antialiased(tmp_path: Path) -> None:
    checks = np.indices((64, 64)).sum(axis=0) % 2 * np.uint8(255)
    Image.fromarray(checks.astype(np.uint8)).save(tmp_path / "a.png")
    frame = read_frame(tmp_path / "a.png", FrameOptions(size=8))
    assert frame.shape == (8, 8)
    assert frame.dtype == np.uint8
    np.testing.assert_allclose(frame, 127.5, atol=3)  # every eighth pixel alone would be 0


@pytest.mark.parametrize(("fit", "bright"), [("stretch", 16), ("crop", 16), ("pad", 8)])
def test_fit(tmp_path: Path, fit: str, bright: int) -> None:
    wide = np.full((32, 64), 200, dtype=np.uint8)
    wide[16, 32] = 201
    Image.fromarray(wide).save(tmp_path / "a.png")
    options = FrameOptions.model_validate({"size": 16, "fit": fit})
    rows = read_frame(tmp_path / "a.png", options)[:, 8] > 150
    assert rows.sum() == bright


def bad_file(folder: Path, kind: str) -> Path:
    """A file that is no usable image."""
    path = folder / "bad.png"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "no image":
        path.write_bytes(b"surely not an image, however named")
    elif kind == "folder":
        path.mkdir()
    elif kind == "blank":
        Image.new("L", (16, 16), 7).save(path)
    elif kind == "truncated":
        noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:2000])
    elif kind == "not finite":
        Image.fromarray(np.full((8, 8), np.nan, np.float32)).save(path, format="TIFF")
    elif kind == "pages":
        Image.new("L", (8, 8)).save(
            path, format="TIFF", save_all=True, append_images=[Image.new("L", (8, 8))]
        )
    elif kind == "truncated DICOM":
        write_dicom(path, (255 * RAMP).astype(np.uint8))
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "frames":
        pixels = np.zeros((8, 8), np.uint8)
        write_dicom(path, pixels, NumberOfFrames=2)
    elif kind == "huge DICOM":
        write_dicom(path, np.zeros((8, 8), np.uint8), Rows=65000, Columns=65000)
    return path


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "is missing"),
        ("empty", "is empty"),
        ("folder", "not a regular file"),
        ("no image", "is no PNG, JPEG, TIFF, PGM or DICOM image"),
        ("blank", "is blank"),
        ("truncated", "cannot be read"),
        ("not finite", "not finite"),
        ("pages", "2 pages"),
        ("truncated DICOM", "cannot be read"),
        ("frames", "2 frames"),
        ("huge DICOM", "65000 x 65000 pixels"),
    ],
)
def test_bad_file_says_what_is_wrong(tmp_path: Path, kind: str, reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as caught:
        read_frame(bad_file(tmp_path, kind), FrameOptions())
    assert str(tmp_path) not in str(caught.value)  # goes into cohort.json, which travels


def test_image_that_claims_more_pixels_than_memory(tmp_path: Path) -> None:
    header = b"P5 100000 100000 255\n"
    (tmp_path / "bomb.pgm").write_bytes(header + b"x" * 100)
    with pytest.raises(ImageError, match=r"Bomb|pixels"):
        read_frame(tmp_path / "bomb.pgm", FrameOptions())


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


@pytest.mark.parametrize("percentiles", [(50, 50), (90, 10), (-1, 50), (0, 101)])
def test_senseless_percentiles_are_refused(percentiles: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="percentiles"):
        FrameOptions(percentiles=percentiles)


def test_dicom_without_a_decoder_names_compression_and_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dicom(tmp_path / "a.dcm", np.arange(16, dtype=np.uint8).reshape(4, 4))

    def compressed(syntax: str) -> Path:
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = pydicom.encaps.encapsulate([bytes(16)])
        dataset["PixelData"].VR = "OB"
        dataset.save_as(tmp_path / "b.dcm")
        return tmp_path / "b.dcm"

    lacking = SimpleNamespace(is_available=False, missing_dependencies=["x - requires openjpeg"])
    with monkeypatch.context() as patch:
        patch.setattr("companion.cohorts.importing.dicom_files.get_decoder", lambda _: lacking)
        with pytest.raises(ImageError, match=r"'JPEG 2000.*install a decoder: x - requires openjp"):
            read_grey(compressed(pydicom.uid.JPEG2000))
    with pytest.raises(ImageError, match=r"'MPEG2.*which pydicom cannot read"):
        read_grey(compressed(pydicom.uid.MPEG2MPML))
