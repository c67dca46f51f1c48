"""Tables show what the data say, and names from the data as text."""

import numpy as np
import pandas as pd
import pytest

from companion.book import tables
from tests import pages

HOSTILE = "<img src=x onerror=alert(1)>"


def test_no_name_becomes_html_wherever_it_stands() -> None:
    table = pd.DataFrame(
        {HOSTILE: [0.5, np.nan], "text": [HOSTILE, "<b>"]},
        index=pd.MultiIndex.from_tuples([(HOSTILE, 1), ("plain", 2)], names=["who", "seed"]),
    )
    html = tables.show(table, "{:.1f}", caption=HOSTILE).to_html()
    assert "<img" not in html
    assert "<b>" not in html
    assert html.count("img src=x onerror") == 4
    assert "0.5" in html
    assert "–" in html


@pytest.mark.parametrize("notebook", ["cohort", "pretraining", "probing", "subgroups"])
def test_no_page_takes_names_of_scanners_or_classes_for_html(notebook, tmp_path, monkeypatch):
    cohort = pages.small_cohort(scanners=(HOSTILE, "B"), classes=("no", HOSTILE))
    monkeypatch.setattr(pages, "DOMAINS", (HOSTILE, "B"))
    shown = pages.values(notebook, cohort, pages.only("simclr"), tmp_path, monkeypatch)
    html = [value._repr_html_() or "" for value in shown if hasattr(value, "_repr_html_")]
    assert notebook == "pretraining" or any("onerror" in page for page in html)
    assert not [page for page in html if "<img" in page]


def test_of_two_classes_the_positive_ones_share_is_shown_of_more_every_one() -> None:
    two = tables.class_shares(pages.small_cohort())
    assert two.index.tolist() == [("yes", "A"), ("yes", "B")]
    assert (two == 0.5).all(axis=None)
    four = tables.class_shares(pages.small_cohort(classes=("a", "b", "c", "d")))
    assert len(four) == 8
    np.testing.assert_allclose(four.groupby("scanner").sum(), 1)


def test_unlabelled_images_do_not_count_in_the_shares() -> None:
    cohort = pages.small_cohort()
    training = np.flatnonzero(cohort.table["split"] == "train")
    cohort.table.loc[training[::2], "label"] = -1  # every negative one
    shares = tables.class_shares(cohort)
    assert (shares["train"] == 1).all()
    assert (shares["test"] == 0.5).all()


def test_grey_levels_are_of_the_training_images() -> None:
    cohort = pages.small_cohort()
    found = tables.grey_levels(cohort)
    mine = cohort.images[cohort.rows("train", ["B"])]
    np.testing.assert_allclose(found.loc["B"], [mine.mean(), mine.std()])


def test_each_distillation_has_its_row_and_verdict() -> None:
    healthy = {"loss_over_chance": 0.9, "embedding_std": 0.8, "prototype_entropy": 0.9, "epoch": 1}
    history = pd.DataFrame(
        [
            healthy | {"strategy": "standard", "seed": 0},
            healthy | {"strategy": "counterfactual", "seed": 0, "loss_over_chance": 0.995},
        ]
    )
    found = tables.ends_of_distillation(history)
    assert found["verdict"].to_dict() == {("DINO", 0): "healthy", ("CF-DINO", 0): "near ln K"}


def test_generators_are_judged_beside_real_images_or_those_left_alone() -> None:
    def quality(shift: float) -> pd.DataFrame:
        measured = {
            ("effectiveness", "real"): 1.0,
            ("effectiveness", "counterfactual"): 0.9 - shift,
            ("gold_error", "untouched"): 39.0,
            ("gold_error", "counterfactual"): 6.0 + shift,
        }
        rows = [(*of, "all", "all", x, x, x) for of, x in measured.items()]
        columns = ["measure", "images", "source", "target", "value", "ci_low", "ci_high"]
        return pd.DataFrame(rows, columns=columns)

    qualities = {"counterfactual": quality(0), "seed 1": quality(0.5)}
    table = tables.judged_generators(qualities, ["gold_error", "effectiveness", "frechet"])
    assert table.columns.tolist() == ["CF-SimCLR", "seed 1", "real images"]
    assert table.index.tolist() == ["gold_error", "effectiveness"]
    assert table["real images"].str.split().str[0].tolist() == ["39", "1"]
    assert table["seed 1"].str.split().str[0].tolist() == ["6.5", "0.4"]
    assert tables.judged_generators({}, ["gold_error"]).empty
