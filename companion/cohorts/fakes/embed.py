"""A made-up EMBED."""

from collections.abc import Mapping
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
    *3 * ("Selenia Dimensions",),
    "Senograph 2000D ADS_17.4.5",
    "Senograph 2000D ADS_17.5",
    "Lorad Selenia",
    "Clearview CSm",
    "Senographe Pristina",
    *2 * ("Senographe Essential VERSION ADS_53.40", "Senographe Essential VERSION ADS_54.10"),
)
# Examinations of a woman each, after the regular ones: what their images, or their finding, say.
_IRREGULAR: tuple[tuple[dict[str, object], dict[str, object]], ...] = (
    ({"FinalImageType": "cview"}, {}),
    ({"spot_mag": "1.0"}, {}),
    ({"SeriesDescription": "LXCCL"}, {}),
    ({"PatientSex": "M"}, {}),
    ({"ManufacturerModelName": "Unheard Of"}, {}),
    ({}, {"tissueden": "5.0"}),
    ({}, {"age_at_study": ""}),
    ({}, {"acc_anon": "1.0"}),
)


def write(folder: Path, patients: int, seed: int) -> None:
    """Writes both tables and the images.

    A CC and an MLO view of each woman; every third woman on Senographe Essential also came before,
    on Selenia Dimensions. An image is listed twice, a view only described, and some examinations
    have several findings, the first without density. Numbers of examinations are whole in one table
    and have a decimal in the other.
    """
    rng = np.random.default_rng(seed)
    images: list[dict[str, object]] = []
    clinical: list[dict[str, object]] = []
    numbers = [int(k) for k in 10_000_000 + rng.permutation(np.arange(1, patients + 9) * 37)]

    def add(patient: int, model: str, density: int, visit: int = 0) -> None:
        examination = 3_000_000_000_000 + 10 * patient + visit
        clinical.extend(_findings(patient, examination, density))
        gain = 0.7 + 0.1 * list(MODELS).index(model)
        for view in ("CC", "MLO"):
            series, name = f"1.2.{examination}", f"1.2.{patient}.{visit}.{'CC MLO'.index(view)}.dcm"
            place = f"cohort_{1 + patient % 2}/{patient}/{series}/{series}.1/{name}"
            images.append(_image(patient, examination, view, model, place))
            path, picture = folder / "images" / place, breast(rng, density, gain)
            write_mammogram(path, picture, {"ManufacturerModelName": model})

    for i in range(patients):
        model = _OFTEN[i % len(_OFTEN)]
        density = (i + i // len(_OFTEN)) % 4  # each on every scanner
        add(numbers[i], model, density)
        if "Essential" in model and i % 3 == 2:
            add(numbers[i], _OFTEN[0], density, visit=1)
    images.append(dict(images[0]))
    images[2] |= {"ViewPosition": "", "SeriesDescription": "L CC"}
    for patient, (of_images, of_finding) in zip(numbers[patients:], _IRREGULAR, strict=True):
        add(patient, _OFTEN[0], density=1)
        for row in images[-2:]:
            row |= of_images
        clinical[-1] |= of_finding
    write_table(folder / IMAGES, IMAGES_HEADER, images)
    write_table(folder / CLINICAL, CLINICAL_HEADER, clinical)


def _findings(patient: int, examination: int, density: int) -> list[dict[str, object]]:
    finding: Mapping[str, object] = {
        "empi_anon": patient,
        "acc_anon": f"{examination}.0",
        "age_at_study": f"{40 + patient % 40 + 0.48:.2f}",
    }
    without = [{**finding, "side": "R", "tissueden": ""}] if patient % 3 == 0 else []
    return [*without, {**finding, "side": "L", "tissueden": f"{density + 1}.0"}]


def _image(patient: int, examination: int, view: str, model: str, place: str) -> dict[str, object]:
    return {
        "empi_anon": patient,
        "acc_anon": examination,
        "SeriesDescription": f"L {view}",
        "FinalImageType": "2D",
        "ViewPosition": view,
        "PatientSex": "F",
        "ManufacturerModelName": model,
        "anon_dicom_path": f"/mnt/NAS2/mammo/anon_dicom/{place}",
    }
