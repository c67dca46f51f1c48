"""The book's table of what is read agrees with the code, and every kind in it with the truth."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile

from companion.cohorts.errors import ImageError
from companion.cohorts.importing.image_files import read_grey
from tests.cohorts.test_image_files import write_dicom
from tests.cohorts.variants import table
from tests.cohorts.variants.dicom import lookup_table
from tests.cohorts.variants.picture import PERCENTILES, X, unsigned


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
