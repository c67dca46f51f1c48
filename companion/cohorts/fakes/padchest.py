"""A made-up PadChest."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from companion.cohorts.fakes.files import truncate, write_png16, write_table
from companion.cohorts.fakes.pictures import chest
from companion.cohorts.releases.padchest import TABLE, UNREADABLE

HEADER = (
    ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,"
    "ViewPosition_DICOM,Projection,MethodProjection,Pediatric,Modality_DICOM,Manufacturer_DICOM,"
    "PhotometricInterpretation_DICOM,PixelRepresentation_DICOM,PixelAspectRatio_DICOM,"
    "SpatialResolution_DICOM,BitsStored_DICOM,WindowCenter_DICOM,WindowWidth_DICOM,Rows_DICOM,"
    "Columns_DICOM,XRayTubeCurrent_DICOM,Exposure_DICOM,ExposureInuAs_DICOM,ExposureTime,"
    "RelativeXRayExposure_DICOM,ReportID,Report,MethodLabel,Labels,Localizations,"
    "LabelsLocalizationsBySentence,labelCUIS,LocalizationsCUIS"
)
_PHILIPS, _OTHER = "PhilipsMedicalSystems", "ImagingDynamicsCompanyLtd"


def write(folder: Path, patients: int, seed: int) -> None:
    """Writes table and images.

    Two images of every fifth patient; then, each of a patient of its own: a lateral view, a child,
    both kinds of rejected study, an unknown sex, a known unreadable file. Some labels, one year of
    birth and one manufacturer are missing.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for i in range(patients):
        for _ in range(2 if i % 5 == 0 else 1):
            _add(folder, rows, rng, i, bool(rng.random() < 0.4), {})
    rows[3]["Labels"], rows[4]["PatientBirth"], rows[6]["Manufacturer_DICOM"] = "", "", ""
    odd = (
        {"Projection": "L", "ViewPosition_DICOM": "LATERAL"},
        {"Pediatric": "PED"},
        {"Labels": "['exclude']"},
        {"Labels": "['suboptimal study', ' pneumonia']"},
        {"PatientSex_DICOM": "O"},
        {"PatientSex_DICOM": ""},
        {"ImageID": UNREADABLE[0]},
    )
    for i, change in enumerate(odd):
        _add(folder, rows, rng, patients + i, False, change)
    truncate(folder / str(rows[-1]["ImageDir"]) / UNREADABLE[0])
    write_table(folder / TABLE, HEADER, rows)


def _add(
    folder: Path,
    rows: list[dict[str, object]],
    rng: np.random.Generator,
    patient: int,
    ill: bool,
    change: Mapping[str, str],
) -> None:
    """Adds a row, with some of its cells changed, and its image."""
    philips = patient % 5 < 2
    labels = ["pneumonia", "infiltrates"] if ill else ["normal" if patient % 2 else "scoliosis"]
    regular: dict[str, object] = {
        "": len(rows),
        "ImageID": f"2168401113669640{len(rows):06d}_0{patient % 5}-{patient % 200:03d}.png",
        "ImageDir": len(rows) % 3,
        "StudyDate_DICOM": 20100115 + 10_000 * (patient % 7),
        "StudyID": f"2168401113669640{patient:06d}",
        "PatientID": f"{7 * patient + 11:d}",
        "PatientBirth": f"{1930 + patient % 60}.0",
        "PatientSex_DICOM": "MF"[patient % 2],
        "ViewPosition_DICOM": "POSTEROANTERIOR",
        "Projection": "PA",
        "MethodProjection": "Manual review of DICOM fields",
        "Pediatric": "No",
        "Modality_DICOM": "DX",
        "Manufacturer_DICOM": _PHILIPS if philips else _OTHER,
        "PhotometricInterpretation_DICOM": "MONOCHROME2",
        "BitsStored_DICOM": 12,
        "ReportID": 4_000_000 + patient,
        "Report": "sin hallazgos , \n seguimiento",
        "MethodLabel": "RNN_model" if patient % 4 else "Physician",
        "Labels": str(labels),
    }
    row = {**regular, **change}
    rows.append(row)
    picture = chest(rng, ill, gain=0.8 if philips else 1.1)
    write_png16(folder / str(row["ImageDir"]) / str(row["ImageID"]), picture)
