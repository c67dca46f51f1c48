"""Every way in which a file states depth, sign, colour and window, made and read again.

The table of what came out is `book/image_variants.csv`. Write it anew with

    python -m tests.cohorts.variants.table
"""

import csv
import io
import tempfile
from pathlib import Path

import numpy as np

from companion.cohorts.errors import ImageError
from companion.cohorts.importing.image_files import read_grey
from tests.cohorts.variants.dicom import DICOM
from tests.cohorts.variants.picture import PERCENTILES, Maker
from tests.cohorts.variants.raster import JPEG, PGM, PNG
from tests.cohorts.variants.tiff import TIFF

TABLE = Path(__file__).parents[3] / "book/image_variants.csv"
FORMATS = {"PNG": PNG, "JPEG": JPEG, "TIFF": TIFF, "PGM, PPM": PGM, "DICOM": DICOM}
VARIANTS = list(dict.fromkeys(name for makers in FORMATS.values() for name in makers))
_LOSSY = ("JPEG inside", "YCbCr")


def outcome(make: Maker, file: Path, loss: float) -> str:
    """How a variant is read: 'as it is', by 'percentiles', in a way of its own, or 'refused'.

    Args:
        make: writes it.
        file: to be written.
        loss: what grey levels may be off by.

    Raises:
        ValueError: the grey levels are none of these, or the refusal does not say what is wrong.
    """
    made = make(file)
    try:
        got = read_grey(file, PERCENTILES)
    except ImageError as error:
        if str(error).startswith(("is no ", "cannot be read")):
            raise ValueError(f"{file.name} is refused in the wrong words: {error}") from error
        return "refused"
    low, high = np.percentile(made.grey, PERCENTILES)
    ways = {
        made.way: made.own,
        "as it is": 255 * (made.grey - made.black) / (made.white - made.black),
        "percentiles": (255 * (made.grey - low) / (high - low)).clip(0, 255),
    }
    for way, levels in ways.items():
        if levels is not None and got.shape == levels.shape and np.abs(got - levels).max() <= loss:
            return way
    raise ValueError(f"{file.name} comes out wrong: {got.shape}, {got.min()} to {got.max()}")


def rows() -> list[list[str]]:
    """The table: what a file states, and how each format is then read; '' where it cannot."""
    found = [["The file states", *FORMATS]]
    with tempfile.TemporaryDirectory() as folder:
        for variant in VARIANTS:
            cells = []
            for name, makers in FORMATS.items():
                loss = 6 if name == "JPEG" or variant in _LOSSY else 1
                file = Path(folder) / f"{variant} as {name}".replace(",", "")
                cells.append(outcome(makers[variant], file, loss) if variant in makers else "")
            found.append([variant, *cells])
    return found


def text() -> str:
    """The table as CSV."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows())
    return file.getvalue()


if __name__ == "__main__":
    TABLE.write_text(text())
