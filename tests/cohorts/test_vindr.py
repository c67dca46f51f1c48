"""VinDr-Mammo: a made-up release through the importer."""

from pathlib import Path

import numpy as np

from companion.cohorts.registry import build, make_plan
from companion.cohorts.releases.vindr import ANNOTATIONS, METADATA, SCANNERS, VindrOptions
from tests.cohorts.releases import cells
from tests.oracles import published_splits as oracle

SOURCE = "vindr"
SMALL = VindrOptions(size=24, width=20)


def test_the_import_is_the_paper_s(release: Path) -> None:
    cohort = build(SMALL, release, release.parent / "cohort")
    rows, table = cells(release / ANNOTATIONS), cohort.table
    metadata = cells(release / METADATA).set_index("SOP Instance UID")
    assert list(table["image_id"]) == list(rows["image_id"])
    assert list(table["label"]) == ["ABCD".index(cell[-1]) for cell in rows["breast_density"]]
    models = metadata["Manufacturer's Model Name"][rows["image_id"]]
    assert list(table["scanner"]) == [SCANNERS[model] for model in models]
    assert cohort.scanners == ("Mammomat Inspiration", "Planmed Nuance", "Giotto")
    series = metadata["Series Instance UID"][rows["image_id"]].tolist()
    assert list(table["split"]) == oracle.three_way(series, 0.3, 0.2)
    ages = metadata["Patient's Age"][rows["image_id"]].tolist()
    expected = [float(age[:3]) if age else np.nan for age in ages]
    np.testing.assert_array_equal(table["age"], expected)
    assert set(table["sex"]) == {"F"}
    assert sum(cohort.info["table_1"]["paper"].values()) == 20_000
    assert cohort.images.shape[1:] == (24, 20)
    for scanner in cohort.scanners:
        mean = cohort.images[cohort.rows(scanners=[scanner])].mean(axis=0)
        assert mean[12, 2] > 60  # the breast
        assert mean[1:3, 15:19].max() == 0  # the plate


def test_published_split_leaks_and_says_so(release: Path) -> None:
    studies = cells(release / ANNOTATIONS)["study_id"]
    by_series = make_plan(SMALL, release)
    shared = (by_series.rows["split"].groupby(studies).nunique() > 1).sum()
    assert shared > 0
    assert any(f"{shared} examinations" in caveat for caveat in by_series.caveats)
    by_study = make_plan(SMALL.model_copy(update={"split_by": "study"}), release)
    assert (by_study.rows["split"].groupby(studies).nunique() == 1).all()
    assert not any("more than one split" in caveat for caveat in by_study.caveats)
