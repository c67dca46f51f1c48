"""EMBED: a made-up release through the importer."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from companion.cohorts.errors import CohortError
from companion.cohorts.registry import build, make_plan
from companion.cohorts.releases.embed import CLINICAL, HELD_OUT, IMAGES, MODELS, EmbedOptions
from tests.cohorts.releases import cells, fill

SOURCE = "embed"
SMALL = EmbedOptions(size=24, width=20, validation_patients=6)
ALONE = SMALL.model_copy(update={"part": "held-out"})
LEAK = ALONE.model_copy(update={"held_out_split": "published-leak"})


def kept(release: Path) -> pd.DataFrame:
    """The images that the paper keeps, row by row, with the examination's density."""
    density: dict[str, int] = {}
    for finding in cells(release / CLINICAL).to_dict("records"):
        examination = finding["acc_anon"].split(".")[0]
        fits = finding["tissueden"] in ("1.0", "2.0", "3.0", "4.0") and finding["age_at_study"]
        if fits and examination not in density:
            density[examination] = int(float(finding["tissueden"])) - 1
    images: dict[str, dict[str, object]] = {}
    for image in cells(release / IMAGES).to_dict("records"):
        view = image["ViewPosition"] or image["SeriesDescription"].split()[-1]
        fits = (
            image["SeriesDescription"] not in ("RXCCL", "LXCCL")
            and view in ("CC", "MLO")
            and image["spot_mag"] == ""
            and image["PatientSex"] == "F"
            and image["FinalImageType"] == "2D"
            and image["ManufacturerModelName"] in MODELS
            and image["acc_anon"] in density
        )
        if fits:
            name = image["anon_dicom_path"].split("/")[-1].removesuffix(".dcm")
            scanner = MODELS[image["ManufacturerModelName"]]
            row = {"label": density[image["acc_anon"]], "scanner": scanner, "view": view}
            images.setdefault(name, row | {"patient_id": image["empi_anon"]})
    return pd.DataFrame.from_dict(images, orient="index")


def test_labels_scanners_and_views(release: Path, tmp_path: Path) -> None:
    cohort = build(SMALL, release, tmp_path / "cohort")
    table, expected = cohort.table.set_index("image_id"), kept(release)
    own = expected[expected["scanner"] != HELD_OUT]
    assert set(table.index[table["scanner"] != HELD_OUT]) == set(own.index)
    for column in ("label", "scanner", "view", "patient_id"):
        assert (table[column] == expected[column][table.index]).all()
    assert len(cohort.scanners) == 5
    assert cohort.held_out_scanners == (HELD_OUT,)
    left_out = cohort.info["left_out"]
    for reason in ("listed twice", "spot or magnification view", "other view", "sex not F"):
        assert left_out[reason] > 0
    for reason in ("not 2D", "other scanner", "density not A to D", "no age"):
        assert left_out[reason] > 0
    assert cohort.images[cohort.rows(scanners=["Clearview CSm"]), 1:3, 15:19].max() == 0
    assert cohort.info["table_1"]["here"]["test"] == len(cohort.rows("test", "pretraining"))


def test_the_split_of_the_pretraining_scanners(release: Path) -> None:
    rows = make_plan(SMALL, release).rows
    own = rows[rows["scanner"] != HELD_OUT]
    patients = own.groupby("split")["patient_id"].nunique()
    n = own["patient_id"].nunique()
    assert patients["val"] == 6
    assert patients["val"] + patients["test"] == int(np.ceil(n / 4))
    more = make_plan(SMALL.model_copy(update={"validation_patients": 9}), release).rows
    held = {"val", "test"}
    other = more[more["scanner"] != HELD_OUT]
    assert (other["split"].isin(held) == own["split"].isin(held)).all()
    assert other[other["split"] == "val"]["patient_id"].nunique() == 9


def test_strata_are_those_of_the_released_code(release: Path) -> None:
    """Densities sorted by patient number stratify patients in the order of appearance."""
    rows = make_plan(SMALL, release).rows
    own = rows[rows["scanner"] != HELD_OUT]
    seen = list(dict.fromkeys(own["patient_id"]))
    first = own.drop_duplicates("patient_id").set_index("patient_id")["label"]
    drawn_with = dict(zip(seen, (first[p] for p in sorted(seen, key=int)), strict=True))
    held = set(own.loc[own["split"] != "train", "patient_id"])
    sizes, taken = np.zeros(4), np.zeros(4)
    for patient, stratum in drawn_with.items():
        sizes[stratum] += 1
        taken[stratum] += patient in held
    assert (np.abs(taken - sizes / 4) <= 1).all()
    assert seen != sorted(seen, key=int)  # so that the order matters


def test_nobody_on_the_held_out_scanner_is_trained_on(release: Path) -> None:
    plan = make_plan(SMALL, release)
    rows = plan.rows
    assert (rows.groupby("patient_id")["split"].nunique() == 1).all()
    assert set(rows.loc[rows["scanner"] == HELD_OUT, "split"]) == {"test"}
    reason = f"{HELD_OUT}, of a patient in training or validation"
    expected = kept(release)
    everyone = (expected["scanner"] == HELD_OUT).sum()
    assert plan.left_out[reason] == everyone - (rows["scanner"] == HELD_OUT).sum() > 0


def test_the_held_out_scanner_alone_is_disjoint_by_patient(release: Path) -> None:
    plan = make_plan(ALONE, release)
    assert plan.options.evaluation_only
    assert plan.scanners == (HELD_OUT,)
    assert len(plan.rows) == (kept(release)["scanner"] == HELD_OUT).sum()
    assert (plan.rows.groupby("patient_id")["split"].nunique() == 1).all()
    assert set(plan.rows["split"]) == {"train", "val", "test"}


def test_the_published_leak_is_there_by_name_only(release: Path) -> None:
    plans = make_plan(ALONE, release), make_plan(LEAK, release)
    clean, leaking = (plan.rows for plan in plans)
    test = leaking["split"] == "test"
    assert len(leaking) == len(clean) + test.sum()  # the rest is drawn from everybody
    assert set(leaking["source_path"][~test]) == set(clean["source_path"])
    assert set(leaking["source_path"][test]) == set(
        clean.loc[clean["split"] == "test", "source_path"]
    )
    said = ["trained on as well" in " ".join(plan.caveats) for plan in plans]
    assert said == [False, True]
    assert "disjoint" in plans[0].published.note


@pytest.mark.parametrize(
    ("options", "column", "value", "rule"),
    [
        (SMALL, "FinalImageType", "cview", "not 2D"),
        (SMALL, "ManufacturerModelName", f"{HELD_OUT} VERSION ADS_53.40", "scanner of the other"),
        (ALONE, "ManufacturerModelName", "Lorad Selenia", "scanner of the other part"),
    ],
)
def test_no_image_left(release, options, column, value, rule):
    fill(release / IMAGES, column, value)
    with pytest.raises(CohortError, match=rf"no image is left to import; .*{rule}.*: \d+"):
        make_plan(options, release)
