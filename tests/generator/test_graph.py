"""Which parents an image has, from what the cohort's rows say."""

from dataclasses import replace

import pytest

from companion.cohorts.causes import image_parents
from companion.cohorts.cohort import Cohort


def _with_sexes(cohort: Cohort, *sexes: str) -> Cohort:
    """The cohort with these sexes in turn."""
    turns = [sexes[i % len(sexes)] for i in range(len(cohort))]
    return replace(cohort, table=cohort.table.assign(sex=turns))


@pytest.mark.parametrize("sexes", [("F", "M"), ("F",), ("M",), ("",), ("F", "M", "")], ids=str)
def test_sex_is_a_parent_where_every_row_states_it_and_both_occur(phantom: Cohort, sexes) -> None:
    expected = {"scanner": phantom.scanners}
    expected |= {"sex": ("F", "M")} if sexes == ("F", "M") else {}
    assert dict(image_parents(_with_sexes(phantom, *sexes)).values) == expected


def test_held_out_scanners_do_not_count(phantom: Cohort) -> None:
    """They are in no training batch, so their sexes are of no use."""
    mixed, held_out = _with_sexes(phantom, "F", "M"), phantom.rows(scanners="held_out")
    mixed.table.loc[mixed.table.index.isin(held_out), "sex"] = ""
    assert "sex" in image_parents(mixed).values
    mixed.table.loc[~mixed.table.index.isin(held_out), "sex"] = "F"
    mixed.table.loc[mixed.table.index.isin(held_out), "sex"] = "M"
    assert "sex" not in image_parents(mixed).values
