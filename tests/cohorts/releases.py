"""Made-up data of every source that is read from files, which a test can spoil before an import."""

import csv
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from companion.cohorts import fakes
from companion.cohorts.cohort import Cohort
from companion.cohorts.importing.release import ImportOptions
from companion.cohorts.registry import OPTIONS, SOURCES, build
from companion.cohorts.releases.folder import FolderOptions


def picture(seed: int, side: int = 12) -> np.ndarray:
    """A frame, uint8 (side, side), that no other seed gives."""
    return np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)


@dataclass
class Source:
    """Own images whose files and manifest rows a test can spoil before it imports them."""

    root: Path
    rows: list[dict[str, str]] = field(default_factory=list)

    def add(self, name: str, patient: str, scanner: str, label: str, **more: str) -> None:
        """Adds a row and its image."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(len(self.rows))).save(path)
        row = {"path": name, "patient_id": patient, "scanner": scanner, "label": label}
        self.rows.append(row | more)

    def write_manifest(self) -> None:
        """Writes the rows as `manifest.csv`."""
        file = self.root / "manifest.csv"
        pd.DataFrame(self.rows).to_csv(file, index=False, lineterminator="\r\n")

    def build(self, folder: Path, on_bad_image: str = "error", **options: object) -> Cohort:
        """Writes the manifest and imports it at 8 pixels."""
        self.write_manifest()
        made = FolderOptions.model_validate({"size": 8} | options)
        return build(made, self.root, folder, on_bad_image)  # type: ignore[arg-type]


def own_images(root: Path) -> Source:
    """24 images of 24 patients, two scanners, two classes, no split."""
    made = Source(root)
    for i in range(24):
        made.add(f"img/{i:03d}.png", f"p{i}", "AB"[i % 2], ("healthy", "ill")[i // 2 % 2])
    return made


NIH_TABLE = "Data_Entry_2017_v2020.csv"
NIH_HEADER = [
    *("Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age"),
    *("Patient Gender", "View Position", "OriginalImage[Width", "Height]"),
    *("OriginalImagePixelSpacing[x", "y]"),
]
SPACINGS = ("0.14300000000000002", "0.168", "0.171", "0.139", "0.194311")
FINDINGS = ("No Finding", "Effusion|Mass", "Mass")


class Nih:
    """90 images of 90 patients: each detector with each kind of finding."""

    def __init__(self, root: Path) -> None:
        self.root, self.rows = root, list[list[str]]()
        for i in range(90):
            name, findings, spacing = f"{i:08d}_000.png", FINDINGS[i // 5 % 3], SPACINGS[i % 5]
            patient = [str(i), str(20 + i), "FM"[i % 2], "PA"]
            self.rows.append([name, findings, "0", *patient, "10", "10", spacing, spacing])

    def save(self, folders: tuple[str, ...] = ("images",), header: Any = NIH_HEADER) -> None:
        """Writes table and images, dealt to the folders."""
        for i, row in enumerate(self.rows):
            folder = self.root / folders[i % len(folders)]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(i)).save(folder / Path(row[0]).name)
        save(self.root / NIH_TABLE, [header, *self.rows])


WOMEN = 24
PROSE = ["INFORMATION:", "2nd column: F - Fatty", "   mdb is the prefix of every film", ""]


class MiniMias:
    """Two films of each of some women; the tissue goes F, G, D from woman to woman."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lines = [f"mdb{i + 1:03d} {'FGD'[i // 2 % 3]} NORM " for i in range(2 * WOMEN)]

    def save(self) -> None:
        """Writes list and films."""
        self.root.mkdir(exist_ok=True)
        for i in range(2 * WOMEN):
            Image.fromarray(picture(i, 16)).save(self.root / f"mdb{i + 1:03d}.pgm")
        text = "\r\n".join([*PROSE, *self.lines, "", "=" * 20])
        (self.root / "Info.txt").write_text(text, encoding="latin-1")


MEDMNIST_SIZES = {"train": 40, "val": 12, "test": 30}


def medmnist() -> dict[str, np.ndarray]:
    """Distinct images in the publisher's arrays, two classes."""
    arrays: dict[str, np.ndarray] = {}
    for first, (split, n) in zip((0, 100, 200), MEDMNIST_SIZES.items(), strict=True):
        arrays[f"{split}_images"] = np.stack([picture(first + i) for i in range(n)])
        arrays[f"{split}_labels"] = (np.arange(n) % 3 == 0).astype(np.uint8)[:, None]
    return arrays


def write_medmnist(root: Path, **changed: np.ndarray | bytes | None) -> Path:
    """An archive of which some members are other arrays, other bytes, or not there."""
    root.mkdir(exist_ok=True)
    with zipfile.ZipFile(root / "pneumoniamnist.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in (medmnist() | changed).items():
            file = io.BytesIO(array if isinstance(array, bytes) else b"")
            if isinstance(array, np.ndarray):
                np.save(file, array)
            if array is not None:
                archive.writestr(f"{name}.npy", file.getvalue())
    return root / "pneumoniamnist.npz"


def write(name: str, root: Path) -> None:
    """Makes up the data of a source."""
    if name == "nih":
        Nih(root).save()
    elif name == "mini-mias":
        MiniMias(root).save()
    elif name == "medmnist":
        write_medmnist(root)
    elif name == "folder":
        own = own_images(root)
        for i, row in enumerate(own.rows):
            row["sex"] = "fm"[i % 2]
        own.write_manifest()
    else:
        fakes.make(name, root, patients=48)


def options(source: str, /, **changes: Any) -> ImportOptions:
    """The options of a source for small frames."""
    small = {"size": 8, "width": 8} | ({"validation_patients": 5} if source == "embed" else {})
    return SOURCES[source].options.model_validate(small | changes)


def lines(table: Path) -> list[list[str]]:
    """The cells of a CSV file, header first."""
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def save(table: Path, content: list[list[str]]) -> None:
    """Writes the cells of a CSV file."""
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(content)


def spoil(table: Path, row: int, column: str, value: str) -> None:
    """Changes one cell; of a `value`, "{first}" is what the first row has there.

    Rows count from 2, below the header, a row with line breaks as one.
    """
    content = lines(table)
    place = content[0].index(column)
    content[row - 1][place] = value.format(first=content[1][place])
    save(table, content)


def fill(table: Path, column: str, value: str) -> None:
    """Gives a column the same value in every row."""
    content = lines(table)
    for row in content[1:]:
        row[content[0].index(column)] = value
    save(table, content)


def cells(table: Path) -> pd.DataFrame:
    """A CSV file as text, independent of the project's reader."""
    return pd.read_csv(table, dtype=str, keep_default_na=False)


def files_of(folder: Path) -> Mapping[str, bytes]:
    """Content of a folder by file name."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def assert_nothing_left(folder: Path) -> None:
    """Neither the cohort nor its working folder exists."""
    assert not list(folder.parent.glob(f"*{folder.name}*"))


PHANTOMS: dict[str, dict[str, Any]] = {
    "phantom-chest": {"size": 32},
    "phantom-breast": {"height": 40, "width": 32},
}


def phantom(source: str, folder: Path, **options: Any) -> Cohort:
    """A phantom of few small images."""
    few = {"n_train": 60, "n_val": 30, "n_test_per_scanner": 12}
    return build(OPTIONS[source](**(few | PHANTOMS[source] | options)), None, folder)
