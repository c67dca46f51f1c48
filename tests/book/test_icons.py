"""A strategy's icon stands before its name in tables, whatever its encoders start from."""

import pandas as pd
import pytest

from companion.book import tables
from companion.book.figures.icons import SHAPES
from companion.book.figures.look import marks


@pytest.mark.parametrize("label", ["CF-SimCLR", "CF-DINO", "Dead-leaves weights", "Oracle pairs"])
def test_a_table_shows_the_icon_of_a_strategy(label: str) -> None:
    html = tables.show(pd.DataFrame({label: [1.0]}, index=["Aurora"]), "{:.1f}").to_html()
    assert html.count("<svg") == 1
    assert f"</svg>{label}" in html


def test_every_mark_has_a_shape_of_its_own() -> None:
    shapes = [SHAPES[mark.marker] for mark in marks("simclr").values()]
    assert len(set(shapes)) == len(shapes)
