"""The RSNA challenge: a made-up release through the importer."""

import json
from pathlib import Path
from typing import Any

import pytest

from companion.cohorts.errors import CohortError
from companion.cohorts.registry import build, make_plan
from companion.cohorts.releases.rsna import LABELS, MAPPING, NIH_TABLES, RsnaOptions
from tests.cohorts.releases import cells, lines, save, spoil
from tests.oracles import published_splits as oracle

SOURCE = "rsna"
LATER, FIRST = NIH_TABLES


def kept(release: Path) -> list[dict[str, str]]:
    """The images that all three tables know and that are PA, in the order of the list."""
    nih = cells(release / FIRST).set_index("Image Index")
    target = cells(release / LABELS).drop_duplicates("patientId").set_index("patientId")["Target"]
    found = []
    for entry in json.loads((release / MAPPING).read_text()):
        identifier, name = entry["subset_img_id"], entry["img_id"]
        if identifier in target.index and nih["View Position"][name] == "PA":
            row = {"id": identifier, "patient": name[:8], "target": target[identifier]}
            found.append(row | {"sex": nih["Patient Gender"][name]})
    return found


def test_the_import_is_the_paper_s(release: Path) -> None:
    cohort = build(RsnaOptions(size=16), release, release.parent / "cohort")
    rows, table = kept(release), cohort.table
    assert list(table["image_id"]) == [row["id"] for row in rows]
    assert list(table["label"]) == [int(row["target"]) for row in rows]
    assert list(table["sex"]) == [row["sex"] for row in rows]
    assert list(table["split"]) == oracle.three_way([row["id"] for row in rows], 0.3, 0.15)
    assert cohort.info["table_1"]["paper"] == {"train": 8_633, "val": 1_524, "test": 4_354}
    assert table["age"].isna().sum() == 1  # 414 years
    assert table["age"].dropna().between(20, 90).all()
    assert cohort.info["evaluation_only"] is True


def test_published_split_leaks_and_says_so(release: Path) -> None:
    by_image = make_plan(RsnaOptions(), release)
    patient_of = {row["id"]: row["patient"] for row in kept(release)}
    patients = by_image.rows["image_id"].map(patient_of)
    shared = (by_image.rows["split"].groupby(patients).nunique() > 1).sum()
    assert shared > 0
    assert any(f"{shared} of the NIH's patients" in caveat for caveat in by_image.caveats)
    by_patient = make_plan(RsnaOptions(split_by="patient"), release)
    assert list(by_patient.rows["patient_id"]) == list(patients)
    assert (by_patient.rows.groupby("patient_id")["split"].nunique() == 1).all()
    assert not any("more than one split" in caveat for caveat in by_patient.caveats)


def test_the_later_table_of_the_nih_is_preferred(release: Path) -> None:
    expected = make_plan(RsnaOptions(), release).rows
    content = lines(release / FIRST)
    (release / FIRST).rename(release / LATER)
    save(release / FIRST, content[:3])  # which lacks most images
    assert make_plan(RsnaOptions(), release).rows.equals(expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ({"a": 1}, "expected a list of images"),
        ([{"img_id": "x.png"}], r"entry 0: expected texts \['subset_img_id', 'img_id'\]"),
        ([{"img_id": "x.png", "subset_img_id": 3}], "entry 0: expected texts"),
    ],
)
def test_a_bad_list_is_named(release: Path, content: Any, message: str) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (release / MAPPING).write_text(text)
    with pytest.raises(CohortError, match=f"{MAPPING}.*{message}"):
        make_plan(RsnaOptions(), release)


def test_boxes_of_one_image_agree(release: Path) -> None:
    labels = cells(release / LABELS)
    second = int(labels["patientId"].duplicated().to_numpy().argmax())
    spoil(release / LABELS, second + 2, "Target", "0")
    with pytest.raises(CohortError, match=f"row {second + 2}: Target of .* row {second + 1}"):
        make_plan(RsnaOptions(), release)
