"""A made-up CheXpert."""

from pathlib import Path

import numpy as np

from companion.cohorts.fakes.files import write_jpeg, write_table
from companion.cohorts.fakes.pictures import chest
from companion.cohorts.releases.chexpert import FINDINGS

HEADER = ",".join(["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS])


def write(folder: Path, patients: int, seed: int, prefix: str = "CheXpert-v1.0-small") -> None:
    """Writes table and images; every path begins with the release's name, the `prefix`.

    Every second patient has a study more; a third of the views are AP, lateral ones have no AP/PA.
    Labels are 1.0, 0.0, -1.0 (uncertain) or missing.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for i in range(patients):
        for study in range(1, 3 if i % 2 else 2):
            label = ("1.0", "", "0.0", "-1.0", "1.0")[(i + study) % 5]
            patient: dict[str, object] = {
                "Sex": ("Female", "Male")[i % 2],
                "Age": 20 + i % 70,
                "Pneumonia": label,
            }
            place = f"train/patient{i + 1:05d}/study{study}"
            for view, kind in enumerate(("frontal", "lateral") if i % 4 == 0 else ("frontal",), 1):
                name = f"{place}/view{view}_{kind}.jpg"
                position = ("AP" if i % 3 == 2 else "PA") if kind == "frontal" else ""
                shown = {"Path": f"{prefix}/{name}", "Frontal/Lateral": kind.title()}
                rows.append(patient | shown | {"AP/PA": position})
                write_jpeg(folder / name, chest(rng, label == "1.0", gain=1))
    rows[0]["Sex"] = "Unknown"
    write_table(folder / "train.csv", HEADER, rows)
    write_table(folder / "valid.csv", HEADER, [])
