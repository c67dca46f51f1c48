"""A made-up EMBED."""

from pathlib import Path

import numpy as np

from companion.cohorts.fakes.files import write_mammogram, write_table
from companion.cohorts.fakes.pictures import breast
from companion.cohorts.releases.embed import CLINICAL, IMAGES, MODELS

IMAGES_HEADER = (
    "Unnamed: 0.1,Unnamed: 0,empi_anon,acc_anon,study_date_anon,StudyDescription,"
    "SeriesDescription,FinalImageType,ImageLateralityFinal,ViewPosition,spot_mag,num_roi,"
    "ROI_coords,PatientSex,Manufacturer,ManufacturerModelName,anon_dicom_path,Unnamed: 0"
)
CLINICAL_HEADER = (
    "Unnamed: 0,empi_anon,acc_anon,desc,side,asses,numfind,tissueden,age_at_study,"
    "study_date_anon,RACE_DESC,ETHNICITY_DESC"
)
# Scanners as often as one can and still find each in every split.
_OFTEN = (
    "Selenia Dimensions",
    "Selenia Dimensions",
    "Selenia Dimensions",
    "Senograph 2000D ADS_17.4.5",
    "Senograph 2000D ADS_17.5",
    "Lorad Selenia",
    "Clearview CSm",
    "Senographe Pristina",
    *2 * ("Senographe Essential VERSION ADS_53.40", "Senographe Essential VERSION ADS_54.10"),
)
_MAKERS = {"Senograph": "GE MEDICAL SYSTEMS", "Clearview": "FUJIFILM Corporation"}


def write(folder: Path, patients: int, seed: int) -> None:
    """Writes both tables and the images.

    A CC and an MLO view of each woman; every third woman on Senographe Essential also came before,
    on Selenia Dimensions. In between: synthetic views, spot views, a view that only the
    description names, an exaggerated view, a man, an unknown scanner, an image listed twice, an
    examination without density, one without findings, one without age, and several findings of
    one examination. Numbers of examinations are whole in one table and have a decimal in the other.
    """
    rng = np.random.default_rng(seed)
    images: list[dict[str, object]] = []
    clinical: list[dict[str, object]] = []
    numbers = 10_000_000 + rng.permutation(np.arange(1, patients + 9) * 37)
    for i in range(patients):
        model = _OFTEN[i % len(_OFTEN)]
        density = (i + i // len(_OFTEN)) % 4  # each on every scanner
        _examine(folder, images, clinical, rng, int(numbers[i]), 0, model, density)
        if "Essential" in model and i % 3 == 2:
            _examine(folder, images, clinical, rng, int(numbers[i]), 1, _OFTEN[0], density)
    images.append(dict(images[0]))
    images[2] |= {"ViewPosition": "", "SeriesDescription": "L CC"}
    odd = (
        {"FinalImageType": "cview"},
        {"spot_mag": "1.0"},
        {"SeriesDescription": "LXCCL"},
        {"PatientSex": "M"},
        {"ManufacturerModelName": "Unheard Of"},
    )
    for i, change in enumerate(odd):
        start = len(images)
        number = int(numbers[patients + i])
        _examine(folder, images, clinical, rng, number, 0, _OFTEN[0], 1)
        for row in images[start:]:
            row |= change
    for i, finding in enumerate(({"tissueden": "5.0"}, {"age_at_study": ""}, {"acc_anon": "1.0"})):
        number = int(numbers[patients + len(odd) + i])
        _examine(folder, images, clinical, rng, number, 0, _OFTEN[0], 1)
        clinical[-1] |= finding
    write_table(folder / IMAGES, IMAGES_HEADER, images)
    write_table(folder / CLINICAL, CLINICAL_HEADER, clinical)


def _examine(
    folder: Path,
    images: list[dict[str, object]],
    clinical: list[dict[str, object]],
    rng: np.random.Generator,
    patient: int,
    visit: int,
    model: str,
    density: int,
) -> None:
    """Adds an examination: its findings, and two images with their files."""
    examination = 3_000_000_000_000 + 10 * patient + visit
    finding = {
        "empi_anon": patient,
        "acc_anon": f"{examination}.0",
        "desc": "MG Screen Bilat w/Tomo/CAD Stnd Protocol",
        "asses": "N",
        "age_at_study": f"{40 + patient % 40 + 0.48:.2f}",
        "study_date_anon": "2015-03-02 00:00:00",
        "RACE_DESC": "Not Recorded",
    }
    if patient % 3 == 0:  # a first finding without density does not count
        clinical.append(finding | {"side": "R", "numfind": 1, "tissueden": ""})
    clinical.append(finding | {"side": "L", "numfind": 2, "tissueden": f"{density + 1}.0"})
    gain = 0.7 + 0.1 * list(MODELS).index(model)
    for view in ("CC", "MLO"):
        name = f"1.2.{patient}.{visit}.{'CC MLO'.index(view)}.dcm"
        place = f"cohort_{1 + patient % 2}/{patient}/1.2.{examination}/1.2.{examination}.1/{name}"
        images.append(
            {
                "Unnamed: 0.1": len(images),
                "Unnamed: 0": len(images),
                "empi_anon": patient,
                "acc_anon": examination,
                "SeriesDescription": f"L {view}",
                "FinalImageType": "2D",
                "ImageLateralityFinal": "L",
                "ViewPosition": view,
                "PatientSex": "F",
                "Manufacturer": _MAKERS.get(model.split()[0], "HOLOGIC, Inc."),
                "ManufacturerModelName": model,
                "anon_dicom_path": f"/mnt/NAS2/mammo/anon_dicom/{place}",
            }
        )
        tags = {"PatientID": str(patient), "ManufacturerModelName": model, "StudyID": view}
        picture = breast(rng, density, gain)
        write_mammogram(folder / "images" / place, picture, tags)
