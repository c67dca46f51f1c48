"""What importers of published releases have in common: the cohort's name, the table's."""

from pathlib import Path

import pytest

from companion.cohorts import doctor, fakes
from companion.cohorts.registry import build, make_plan
from companion.cohorts.releases import embed, padchest, rsna, vindr
from tests.cohorts.releases import lines, save


@pytest.mark.parametrize("source", fakes.RELEASES)
def test_the_name_reaches_the_cohort(source: str, tmp_path: Path) -> None:
    fakes.make(source, tmp_path / "made-up", patients=48)
    named = doctor.SOURCES[source].options().model_copy(update={"name": "mine", "size": 16})
    made = build(named, tmp_path / "made-up", tmp_path / "cohort")  # type: ignore[arg-type]
    assert made.name == "mine"


@pytest.mark.parametrize("source", ["chexpert", "padchest"])
def test_the_table_can_have_another_name(source: str, tmp_path: Path) -> None:
    fakes.make(source, tmp_path / "made-up", patients=48)
    options = doctor.SOURCES[source].options()
    expected = make_plan(options, tmp_path / "made-up").rows  # type: ignore[arg-type]
    table = options.tables[0]
    (tmp_path / "made-up" / table).rename(tmp_path / "made-up" / "mine.csv")
    renamed = options.model_copy(update={"csv": "mine.csv"})
    assert renamed.tables == ("mine.csv",)
    assert make_plan(renamed, tmp_path / "made-up").rows.equals(expected)  # type: ignore[arg-type]


NAMES = {
    "padchest": {
        padchest.TABLE: ("Projection", "Pediatric", "Manufacturer_DICOM", "Labels"),
    },
    "chexpert": {"train.csv": ("Sex", "AP/PA")},
    "rsna": {rsna.NIH_TABLES[1]: ("Patient Gender", "View Position")},
    "embed": {
        embed.IMAGES: ("ManufacturerModelName", "PatientSex", "FinalImageType", "ViewPosition"),
    },
    "vindr": {
        vindr.ANNOTATIONS: ("breast_density", "view_position"),
        vindr.METADATA: ("Manufacturer's Model Name",),
    },
}


@pytest.mark.parametrize("source", fakes.RELEASES)
def test_names_are_compared_without_regard_to_case_and_space(source: str, tmp_path: Path) -> None:
    root = tmp_path / "made-up"
    fakes.make(source, root, patients=48)
    options = doctor.SOURCES[source].options()
    if source == "embed":
        options = embed.EmbedOptions(validation_patients=5)
    expected = make_plan(options, root)  # type: ignore[arg-type]
    for table, columns in NAMES[source].items():
        content = lines(root / table)
        for row in content[1:]:
            for place in (content[0].index(column) for column in columns):
                row[place] = f" {row[place].swapcase()} ".replace(" ", "  ")
        save(root / table, [[name.upper() for name in content[0]], *content[1:]])
    found = make_plan(options, root)  # type: ignore[arg-type]
    columns = ["image_id", "patient_id", "scanner", "label", "sex", "view", "split"]
    columns = [column for column in columns if column in found.rows]
    assert found.rows[columns].equals(expected.rows[columns])
    assert found.left_out == expected.left_out
    assert found.scanners == expected.scanners
