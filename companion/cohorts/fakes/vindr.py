"""A made-up VinDr-Mammo."""

import hashlib
from pathlib import Path

import numpy as np

from companion.cohorts.fakes.files import write_mammogram, write_table
from companion.cohorts.fakes.pictures import breast
from companion.cohorts.releases.vindr import ANNOTATIONS, METADATA

ANNOTATIONS_HEADER = (
    "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,"
    "breast_density,split"
)
METADATA_HEADER = (
    ",SOP Instance UID,Series Instance UID,Manufacturer,Manufacturer's Model Name,Patient's Age,"
    "View Position,Rows,Columns,Window Center,Window Width,Photometric Interpretation,Rows"
)
_MODELS = (
    ("SIEMENS", "Mammomat Inspiration"),
    ("SIEMENS", "Mammomat Inspiration"),
    ("SIEMENS", "Mammomat Inspiration"),
    ("Planmed", "Planmed Nuance"),
    ("IMS s.r.l.", "Giotto Class"),
    ("IMS GIOTTO S.p.A.", "Giotto Image 3DL"),
)


def write(folder: Path, patients: int, seed: int) -> None:
    """Writes both tables, in different orders, and two images of each woman.

    Every fourth examination has a series for each image. Planmed's images are stored inverted.
    Some ages are missing, and a column of the metadata occurs twice.
    """
    rng = np.random.default_rng(seed)
    annotations: list[dict[str, object]] = []
    metadata: list[dict[str, object]] = []
    for i in range(patients):
        maker, model = _MODELS[i % len(_MODELS)]
        density = (i + i // len(_MODELS)) % 4  # each on every scanner
        for view in ("CC", "MLO"):
            study, image = _identifier(seed, i, "study"), _identifier(seed, i, view)
            series = _identifier(seed, i, f"series {view if i % 4 == 0 else ''}")
            annotations.append(
                {
                    "study_id": study,
                    "series_id": series,
                    "image_id": image,
                    "laterality": "LR"[i % 2],
                    "view_position": view,
                    "height": 3518,
                    "width": 2800,
                    "breast_birads": f"BI-RADS {1 + i % 5}",
                    "breast_density": f"DENSITY {'ABCD'[density]}",
                    "split": "test" if i % 5 == 0 else "training",
                }
            )
            inverted = maker == "Planmed"
            metadata.append(
                {
                    "": len(metadata),
                    "SOP Instance UID": image,
                    "Series Instance UID": series,
                    "Manufacturer": maker,
                    "Manufacturer's Model Name": model,
                    "Patient's Age": "" if i % 7 == 3 else f"{35 + i % 45:03d}Y",
                    "View Position": view,
                    "Rows": 3518,
                    "Columns": 2800,
                    "Photometric Interpretation": "MONOCHROME1" if inverted else "MONOCHROME2",
                }
            )
            picture = breast(rng, density, gain=(1.1, 0.8)[inverted])
            tags = {"Manufacturer": maker, "ManufacturerModelName": model, "PatientID": image}
            path = folder / "images" / study / f"{image}.dicom"
            write_mammogram(path, picture, tags, inverted)
    write_table(folder / ANNOTATIONS, ANNOTATIONS_HEADER, annotations)
    shuffled = [metadata[k] for k in rng.permutation(len(metadata))]
    write_table(folder / METADATA, METADATA_HEADER, shuffled)


def _identifier(seed: int, patient: int, what: str) -> str:
    text = f"{seed}/{patient}/{what}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
