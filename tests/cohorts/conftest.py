"""Small image folders with a manifest, made on the spot."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from companion.cohorts.cohort import Cohort
from companion.cohorts.registry import build
from companion.cohorts.releases.folder import FolderOptions


def picture(seed: int, side: int = 12) -> np.ndarray:
    """A frame, uint8 (side, side), that no other seed gives."""
    return np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)


@dataclass
class Source:
    """A data root whose images and manifest rows a test can spoil before it imports them."""

    root: Path
    rows: list[dict[str, str]] = field(default_factory=list)

    def add(self, name: str, patient: str, scanner: str, label: str, **more: str) -> None:
        """Adds a row and its image."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(len(self.rows))).save(path)
        row = {"path": name, "patient_id": patient, "scanner": scanner, "label": label}
        self.rows.append(row | more)

    def write_manifest(self, drop: Sequence[str] = ()) -> None:
        """Writes the rows as `manifest.csv`, without some columns."""
        names = [name for name in self.rows[0] if name not in drop]
        with (self.root / "manifest.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, names, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self.rows)

    def build(self, folder: Path, on_bad_image: str = "error", **options: object) -> Cohort:
        """Writes the manifest and imports it at 8 pixels."""
        self.write_manifest()
        made = FolderOptions.model_validate({"size": 8} | options)
        return build(made, self.root, folder, on_bad_image)  # type: ignore[arg-type]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """24 images of 24 patients, two scanners, two classes, no split."""
    made = Source(tmp_path / "data")
    for i in range(24):
        made.add(f"img/{i:03d}.png", f"p{i}", "AB"[i % 2], ("healthy", "ill")[i // 2 % 2])
    return made


def files_of(folder: Path) -> Mapping[str, bytes]:
    """Content of a cohort folder by file name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
