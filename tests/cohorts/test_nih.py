"""NIH ChestX-ray14 in the publisher's layout: made-up rows, and the real small set."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from companion.cohorts import doctor
from companion.cohorts.cohort import Cohort
from companion.cohorts.errors import CohortError
from companion.cohorts.importing.image_files import read_frame
from companion.cohorts.importing.table import read_manifest
from companion.cohorts.registry import build
from companion.cohorts.releases import nih as importer
from companion.cohorts.releases.nih import NihOptions
from tests.cohorts.releases import FINDINGS, NIH_HEADER, NIH_TABLE, Nih


def imported(nih: Nih, **options: Any) -> Cohort:
    """The nih as a cohort of 8 pixels."""
    made = NihOptions.model_validate({"size": 8} | options)
    return build(made, nih.root, nih.root.parent / "cohort")


def test_scanner_is_the_spacing_group(nih: Nih) -> None:
    nih.save()
    cohort = imported(nih)
    assert cohort.scanners == ("DR-0.143", "DR-0.168", "DR-0.171")
    assert cohort.held_out_scanners == ("DR-0.139", "DR-0.194")
    spacing = {row[0]: row[9] for row in nih.rows}
    for name, scanner in zip(cohort.table["image_id"], cohort.table["scanner"], strict=True):
        assert spacing[name].startswith(scanner.removeprefix("DR-"))


def test_several_folders_give_the_same_cohort(tmp_path: Path) -> None:
    one, twelve = Nih(tmp_path / "a"), Nih(tmp_path / "b")
    one.save()
    twelve.save(tuple(f"images_{i:03d}/images" for i in range(1, 13)))
    first, second = (importer.plan(NihOptions(), made.root).rows for made in (one, twelve))
    assert second["source_path"].iloc[0].startswith("images_001/images/")
    assert all((twelve.root / path).is_file() for path in second["source_path"])
    assert first.drop(columns="source_path").equals(second.drop(columns="source_path"))


def test_labels_and_unlabelled_rows(nih: Nih) -> None:
    nih.save()
    table = imported(nih).table.merge(
        read_manifest(nih.root / NIH_TABLE, NIH_HEADER[:2]),
        left_on="image_id",
        right_on="Image Index",
    )
    expected = table["Finding Labels"].map(dict(zip(FINDINGS, (0, 1, -1), strict=True)))
    assert (table["label"] == expected).all()
    unlabelled = table[table["label"] < 0]
    assert len(unlabelled) == 18  # none of a held-out detector
    assert set(unlabelled["split"]) == {"train"}


def test_options_reach_their_use(nih: Nih) -> None:
    for row in nih.rows[:30]:
        row[6] = "AP"
    nih.save()
    everything = NihOptions(view=None)

    def make_plan(**change: Any) -> importer.Plan:
        return importer.plan(everything.model_copy(update=change), nih.root)

    base = make_plan()
    assert len(base.rows) == 90 - 12
    assert set(make_plan(view="AP").rows["view"]) == {"AP"}
    assert make_plan(view="PA").left_out["other view"] == 30
    assert (make_plan(keep_unlabelled=False).rows["label"] >= 0).all()
    others = make_plan(negatives="others")
    assert others.classes == ("No Effusion", "Effusion")
    assert set(others.rows["label"]) == {0, 1}
    assert make_plan(finding="Mass").classes[1] == "Mass"
    fewer = make_plan(scanners=("DR-0.143", "DR-0.171"), held_out_scanners=())
    assert set(fewer.rows["scanner"]) == {"DR-0.143", "DR-0.171"}
    assert fewer.left_out["other detector"] == 54
    other = make_plan(splits=everything.splits.model_copy(update={"seed": 1}))
    assert not other.rows[["image_id", "split"]].equals(base.rows[["image_id", "split"]])


@pytest.mark.parametrize("ends", [[], [""]], ids=["rows of 11", "rows of 12"])
def test_the_first_release_of_the_table(nih: Nih, ends: list[str]) -> None:
    """Ages have units; the header ends in a comma, and not all rows do; Sex was Gender."""
    for row in nih.rows:
        row[4] = f"{int(row[4]):03d}Y"
    nih.rows[0][4] = "414Y"
    nih.rows = [row + ends for row in nih.rows]
    nih.save(header=[*(name.replace("Gender", "Sex") for name in NIH_HEADER), ""])
    table = imported(nih).table.set_index("image_id")
    assert len(table) == 90 - 12
    assert set(table["sex"]) == {"F", "M"}
    assert table["age"]["00000001_000.png"] == 21
    assert np.isnan(table["age"]["00000000_000.png"])


def test_the_first_table_alone_will_do(nih: Nih) -> None:
    nih.save()
    expected = importer.plan(NihOptions(), nih.root).rows
    tables = [nih.root / name for name in importer.TABLES]
    tables[0].rename(tables[1])
    assert importer.plan(NihOptions(), nih.root).rows.equals(expected)
    assert doctor.examine(nih.root).healthy
    with pytest.raises(CohortError, match=r"mine\.csv is missing"):
        importer.plan(NihOptions(csv="mine.csv"), nih.root)


def test_missing_images(nih: Nih) -> None:
    nih.save()
    (nih.root / "images").rename(nih.root / "pictures")
    with pytest.raises(CohortError, match="holds no images: expected images/"):
        imported(nih)


def test_real_radiographs(nih_small: Path) -> None:
    plan = importer.plan(NihOptions(), nih_small)
    table = plan.rows
    of = table[table["label"] >= 0].groupby(["scanner", "label"]).size()
    assert of["DR-0.143"].tolist() == [225, 111]  # as counted from the publisher's table
    assert of["DR-0.168"].tolist() == [197, 33]
    assert of["DR-0.171"].tolist() == [116, 19]
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()
    assert set(table.loc[table["scanner"].isin(plan.held_out_scanners), "split"]) == {"test"}
    means = []
    for scanner in plan.scanners:
        paths = table.loc[table["scanner"] == scanner, "source_path"].iloc[:30]
        means.append(np.mean([read_frame(nih_small / path, plan.options) for path in paths]))
    assert np.ptp(means) > 10  # the detectors look different
