"""A made-up RSNA Pneumonia Detection Challenge, with the NIH's table beside it."""

import json
from pathlib import Path

import numpy as np

from companion.cohorts.fakes.files import identifier, write_radiograph, write_table
from companion.cohorts.fakes.pictures import chest
from companion.cohorts.releases.rsna import LABELS, MAPPING, NIH_TABLES

NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)


def write(folder: Path, patients: int, seed: int) -> None:
    """Writes labels, list, the NIH's table and the images.

    Every third of the NIH's patients has two images; a fifth are AP; positive images have one row
    for each of one or two opacities. The list also has images of the challenge's second stage,
    which have no label, and the NIH's table some that the challenge does not have.
    """
    rng = np.random.default_rng(seed)
    labels: list[dict[str, object]] = []
    mapping: list[dict[str, str]] = []
    nih: list[dict[str, object]] = []
    for i in range(patients):
        for follow_up in range(2 if i % 3 == 0 else 1):
            name = f"{i + 1:08d}_{follow_up:03d}.png"
            image, view = identifier(seed, name), "AP" if (i + follow_up) % 5 == 4 else "PA"
            nih.append(_nih_row(i, name, view))
            mapping.append({"subset_img_id": image, "img_id": name})
            ill = bool(rng.random() < 0.35)
            box = {"x": 264.0, "y": 152.0, "width": 213.0, "height": 379.0} if ill else {}
            row = {"patientId": image, "Target": int(ill), **box}
            labels += [row] * (2 if ill and i % 2 else 1)
            path = folder / "stage_2_train_images" / f"{image}.dcm"
            write_radiograph(path, chest(rng, ill, gain=1), {"ViewPosition": view})
    nih += [_nih_row(99_997, "00099998_000.png", "PA"), _nih_row(5, "00000006_007.png", "PA")]
    second_stage = {"subset_img_id": "0" * 32, "img_id": "00099998_000.png"}
    listed = [second_stage, *(mapping[k] for k in rng.permutation(len(mapping)))]
    (folder / MAPPING).write_text(json.dumps(listed), encoding="utf-8")
    write_table(folder / LABELS, "patientId,x,y,width,height,Target", labels)
    write_table(folder / NIH_TABLES[1], NIH_HEADER, nih)


def _nih_row(i: int, name: str, view: str) -> dict[str, object]:
    return {
        "Image Index": name,
        "Finding Labels": "No Finding",
        "Patient ID": i + 1,
        "Patient Age": "414Y" if i == 1 else f"{20 + i % 70:03d}Y",
        "Patient Gender": "FM"[i % 2],
        "View Position": view,
        "OriginalImagePixelSpacing[x": 0.168,
        "y]": 0.168,
    }
