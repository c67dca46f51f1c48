"""Which parents an image has, from what the cohort's rows say."""

from dataclasses import replace

from companion.cohorts.causes import image_parents
from companion.cohorts.cohort import Cohort


def _with_sexes(cohort: Cohort, *sexes: str) -> Cohort:
    """The cohort with these sexes in turn."""
    turns = [sexes[i % len(sexes)] for i in range(len(cohort))]
    return replace(cohort, table=cohort.table.assign(sex=turns))


def test_sex_is_a_parent_where_every_row_states_it_and_both_occur(phantom: Cohort) -> None:
    parents = image_parents(_with_sexes(phantom, "F", "M"))
    assert dict(parents.values) == {"scanner": phantom.scanners, "sex": ("F", "M")}


def test_one_sex_or_an_unknown_one_is_no_parent(phantom: Cohort) -> None:
    for sexes in (("F",), ("M",), ("",), ("F", "M", "")):
        parents = image_parents(_with_sexes(phantom, *sexes))
        assert dict(parents.values) == {"scanner": phantom.scanners}


def test_held_out_scanners_do_not_count(phantom: Cohort) -> None:
    """They are in no training batch, so their sexes are of no use."""
    mixed, held_out = _with_sexes(phantom, "F", "M"), phantom.rows(scanners="held_out")
    mixed.table.loc[mixed.table.index.isin(held_out), "sex"] = ""
    assert "sex" in image_parents(mixed).values
    mixed.table.loc[~mixed.table.index.isin(held_out), "sex"] = "F"
    mixed.table.loc[mixed.table.index.isin(held_out), "sex"] = "M"
    assert "sex" not in image_parents(mixed).values
