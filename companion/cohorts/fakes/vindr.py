"""A made-up VinDr-Mammo."""

from pathlib import Path

import numpy as np

from companion.cohorts.fakes.files import identifier, write_mammogram, write_table
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
_OFTEN = "Mammomat Inspiration"
_MODELS = (_OFTEN, _OFTEN, _OFTEN, "Planmed Nuance", "Giotto Class", "Giotto Image 3DL")


def write(folder: Path, patients: int, seed: int) -> None:
    """Writes both tables, in different orders, and two images of each woman.

    Every fourth examination has a series for each image. Planmed's images are stored inverted.
    Some ages are missing, and a column of the metadata occurs twice.
    """
    rng = np.random.default_rng(seed)
    annotations: list[dict[str, object]] = []
    metadata: list[dict[str, object]] = []
    for i in range(patients):
        model = _MODELS[i % len(_MODELS)]
        inverted = model.startswith("Planmed")
        density = (i + i // len(_MODELS)) % 4  # each on every scanner
        study = identifier(seed, i, "study")
        for view in ("CC", "MLO"):
            image = identifier(seed, i, view)
            series = identifier(seed, i, f"series {view if i % 4 == 0 else ''}")
            annotations.append(
                {
                    "study_id": study,
                    "series_id": series,
                    "image_id": image,
                    "view_position": view,
                    "breast_density": f"DENSITY {'ABCD'[density]}",
                    "split": "test" if i % 5 == 0 else "training",
                }
            )
            metadata.append(
                {
                    "": len(metadata),
                    "SOP Instance UID": image,
                    "Series Instance UID": series,
                    "Manufacturer's Model Name": model,
                    "Patient's Age": "" if i % 7 == 3 else f"{35 + i % 45:03d}Y",
                    "Rows": 3518,
                }
            )
            picture = breast(rng, density, gain=(1.1, 0.8)[inverted])
            path = folder / "images" / study / f"{image}.dicom"
            write_mammogram(path, picture, {"ManufacturerModelName": model}, inverted)
    write_table(folder / ANNOTATIONS, ANNOTATIONS_HEADER, annotations)
    shuffled = [metadata[k] for k in rng.permutation(len(metadata))]
    write_table(folder / METADATA, METADATA_HEADER, shuffled)
