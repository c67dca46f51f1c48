"""A made-up PadChest."""

from pathlib import Path

import numpy as np

from companion.cohorts.fakes.files import write_png16, write_table
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
# Each of a patient of its own, after the regular ones.
_IRREGULAR: tuple[dict[str, object], ...] = (
    {"Projection": "L", "ViewPosition_DICOM": "LATERAL"},
    {"Pediatric": "PED"},
    {"Labels": "['exclude']"},
    {"Labels": "['suboptimal study', ' pneumonia']"},
    {"PatientSex_DICOM": "O"},
    {"PatientSex_DICOM": ""},
    {"ImageID": UNREADABLE[0]},
)


def write(folder: Path, patients: int, seed: int) -> None:
    """Writes table and images; two images of every fifth patient.

    Some labels, one year of birth and one manufacturer are missing; one file is cut in half.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []

    def add(patient: int, ill: bool, change: dict[str, object]) -> None:
        row = _row(len(rows), patient, ill) | change
        rows.append(row)
        picture = chest(rng, ill, gain=0.8 if _is_philips(patient) else 1.1)
        write_png16(folder / str(row["ImageDir"]) / str(row["ImageID"]), picture)

    for i in range(patients):
        for _ in range(2 if i % 5 == 0 else 1):
            add(i, bool(rng.random() < 0.4), {})
    rows[3]["Labels"], rows[4]["PatientBirth"], rows[6]["Manufacturer_DICOM"] = "", "", ""
    for i, change in enumerate(_IRREGULAR):
        add(patients + i, False, change)
    cut = folder / str(rows[-1]["ImageDir"]) / UNREADABLE[0]
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    write_table(folder / TABLE, HEADER, rows)


def _is_philips(patient: int) -> bool:
    return patient % 5 < 2


def _row(number: int, patient: int, ill: bool) -> dict[str, object]:
    labels = ["pneumonia", "infiltrates"] if ill else ["normal" if patient % 2 else "scoliosis"]
    philips = _is_philips(patient)
    return {
        "": number,
        "ImageID": f"2168401113669640{number:06d}_0{patient % 5}-{patient % 200:03d}.png",
        "ImageDir": number % 3,
        "StudyDate_DICOM": 20100115 + 10_000 * (patient % 7),
        "PatientID": f"{7 * patient + 11:d}",
        "PatientBirth": f"{1930 + patient % 60}.0",
        "PatientSex_DICOM": "MF"[patient % 2],
        "ViewPosition_DICOM": "POSTEROANTERIOR",
        "Projection": "PA",
        "Pediatric": "No",
        "Manufacturer_DICOM": "PhilipsMedicalSystems" if philips else "ImagingDynamicsCompanyLtd",
        "Report": "sin hallazgos , \n seguimiento",
        "Labels": str(labels),
    }
