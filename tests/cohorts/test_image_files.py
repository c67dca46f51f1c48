"""Every image becomes the same kind of frame, and every bad file says what is wrong with it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
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
from tests.cohorts.variants import table
from tests.cohorts.variants.dicom import lookup_table, write_dicom
from tests.cohorts.variants.picture import PERCENTILES, X, unsigned


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


def test_a_long_thin_image_is_not_padded_to_more_than_memory() -> None:
    thin = np.arange(2 * 60_000, dtype=np.float32).reshape(-1, 2) % 256
    assert to_frame(thin, FrameOptions(size=8)).shape == (8, 8)
    with pytest.raises(ImageError, match="claims 60000 x 60000 pixels"):
        to_frame(thin, FrameOptions(size=8, fit="pad"))


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


# Variants


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_the_table_in_the_book_is_what_the_code_does() -> None:
    assert table.TABLE.read_text() == table.text(), f"outdated:{table.__doc__}"


def test_a_reader_that_is_two_grey_levels_off_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "read_grey", lambda *given: read_grey(*given) + 2)
    with pytest.raises(ValueError, match="comes out wrong"):
        table.outcome(table.PNG["RGB, 8 bit"], tmp_path / "a.png", 1)


def test_a_voi_lut_that_states_its_bits_is_shown_over_all_of_them(tmp_path: Path) -> None:
    """PS3.3 C.11.2.1.1: white is 2^n - 1, also where no entry reaches it."""
    item = lookup_table(np.arange(256) * 12, first=0, bits=12)
    path = write_dicom(tmp_path / "a.dcm", unsigned(8), VOILUTSequence=[item])
    np.testing.assert_allclose(read_grey(path), unsigned(8) * 12.0 * 255 / 4095, atol=0.01)


def test_padding_beyond_the_stored_bits_is_found(tmp_path: Path) -> None:
    stored = np.where(X < 24, unsigned(12).astype(np.int16) - 2048, -32768).astype(np.int16)
    path = write_dicom(tmp_path / "a.dcm", stored, BitsStored=12, HighBit=11)
    dataset = pydicom.dcmread(path)
    dataset.add_new("PixelPaddingValue", "US", 32768)  # -32768, written as unsigned
    dataset.save_as(path)
    grey = read_grey(path, PERCENTILES)
    low, high = np.percentile(stored[X < 24], PERCENTILES)
    expected = np.where(X < 24, (255 * (stored - low) / (high - low)).clip(0, 255), 0)
    np.testing.assert_allclose(grey, expected, atol=0.01)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("bits", [8, 16])
def test_an_uncompressed_tiff_is_turned_and_not_sheared(tmp_path, orientation, bits):
    stored = unsigned(bits)
    said = [(274, "H", 1, orientation, True)]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="minisblack", metadata=None, extratags=said)
    turned = stored.T if orientation >= 5 else stored
    rows, columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)  # that are mirrored
    turned = turned[:: -1 if rows else 1, :: -1 if columns else 1]
    got, levels = read_grey(path, (0, 100)), turned.astype(float)
    if bits == 16:
        levels = 255 * (levels - levels.min()) / (levels.max() - levels.min())
    np.testing.assert_allclose(got, levels, atol=0.01)


def test_a_window_narrower_than_linear_allows_is_taken_exactly(tmp_path: Path) -> None:
    """As of values rescaled to [0, 1]; PS3.3 C.11.2.1.2.1 asks for a width of at least 1."""
    tags = {"RescaleSlope": 1 / 4095, "RescaleIntercept": 0, "WindowCenter": 0.5}
    path = write_dicom(tmp_path / "a.dcm", unsigned(12), WindowWidth=0.8, **tags)
    expected = 255 * ((unsigned(12) / 4095 - 0.5) / 0.8 + 0.5).clip(0, 1)
    np.testing.assert_allclose(read_grey(path), expected, atol=0.05)


def test_a_window_that_leaves_no_grey_level_makes_a_blank_image(tmp_path: Path) -> None:
    tags = {"WindowCenter": 40_000, "WindowWidth": 10_000, "VOILUTFunction": "SIGMOID"}
    path = write_dicom(tmp_path / "a.dcm", unsigned(12), **tags)
    grey = read_grey(path)
    assert 0 < grey.min() < grey.max() < 0.5
    with pytest.raises(ImageError, match="is blank"):
        read_frame(path, FrameOptions(size=8))


# Damaged and hostile TIFFs that Pillow does not open


def test_a_float_tiff_that_claims_more_pixels_than_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((8, 8)), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        for side in ("ImageWidth", "ImageLength"):
            file.pages.first.tags[side].overwrite(12_000)
    with pytest.raises(ImageError, match="claims 12000 x 12000 pixels"):
        read_grey(path)


def test_a_compressed_tiff_that_unpacks_to_more_than_it_claims(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    big = np.zeros((1024, 64))
    tifffile.imwrite(
        path, big, photometric="minisblack", metadata=None, compression="zlib", rowsperstrip=1024
    )
    with tifffile.TiffFile(path, mode="r+") as file:
        for rows in ("ImageLength", "RowsPerStrip"):
            file.pages.first.tags[rows].overwrite(8)
    with pytest.raises(ImageError, match="unpacks to more pixels than it claims"):
        read_grey(path)
