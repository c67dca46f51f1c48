"""What importers of published releases have in common: the cohort's name, the table's."""

from pathlib import Path

import pytest

from ccl.cohorts import build, doctor, fakes, planned


@pytest.mark.parametrize("source", fakes.RELEASES)
def test_the_name_reaches_the_cohort(source: str, tmp_path: Path) -> None:
    fakes.make(source, tmp_path / "made-up", patients=48)
    named = doctor.SOURCES[source].options.model_copy(update={"name": "mine", "size": 16})
    made = build(named, tmp_path / "made-up", tmp_path / "cohort")  # type: ignore[arg-type]
    assert made.name == "mine"


@pytest.mark.parametrize("source", ["chexpert", "padchest"])
def test_the_table_can_have_another_name(source: str, tmp_path: Path) -> None:
    fakes.make(source, tmp_path / "made-up", patients=48)
    options = doctor.SOURCES[source].options
    expected = planned(options, tmp_path / "made-up").rows  # type: ignore[arg-type]
    (table,) = options.tables
    (tmp_path / "made-up" / table).rename(tmp_path / "made-up" / "mine.csv")
    renamed = options.model_copy(update={"csv": "mine.csv"})
    assert renamed.tables == ("mine.csv",)
    assert planned(renamed, tmp_path / "made-up").rows.equals(expected)  # type: ignore[arg-type]
