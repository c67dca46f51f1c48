"""A strategy's icon stands before its name in tables, whatever its encoders start from."""

from types import SimpleNamespace

import pandas as pd
import pytest

from companion.book import tables
from companion.book.figures.icons import SHAPES, icon_html
from companion.book.figures.look import marks, marks_by_label
from companion.book.strategy_role import StrategyRole


@pytest.mark.parametrize("label", ["CF-SimCLR", "CF-DINO", "Dead-leaves weights", "Oracle pairs"])
def test_a_table_shows_the_icon_of_a_strategy(label: str) -> None:
    html = tables.show(pd.DataFrame({label: [1.0]}, index=["Aurora"]), "{:.1f}").to_html()
    assert html.count("<svg") == 1
    assert f"</svg>{label}" in html


@pytest.mark.parametrize(
    ("written", "words"),
    [("CF-DINO", "CF-DINO"), ("oracle pairs <Oracle pairs>", "oracle pairs"), ("BYOL", None)],
)
def test_prose_shows_the_icon_of_a_strategy(written: str, words: str | None) -> None:
    role = StrategyRole()
    role.text, errors = written, []
    role.inliner = SimpleNamespace(reporter=SimpleNamespace(error=errors.append))
    shown, _ = role.run()
    assert (errors == []) is (words is not None)
    if words is not None:
        icon, text = shown
        assert icon.astext() == icon_html(marks_by_label()[written.rpartition("<")[2].strip(">")])
        assert text.astext() == words


def test_every_mark_has_a_shape_of_its_own() -> None:
    shapes = [SHAPES[mark.marker] for mark in marks("simclr").values()]
    assert len(set(shapes)) == len(shapes)
