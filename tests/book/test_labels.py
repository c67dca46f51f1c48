"""Lines are named at their ends, apart from each other."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from companion.book import figures
from companion.book.figures.labels import spread

VALUES = st.lists(st.integers(-20, 20), min_size=1, max_size=8)


@given(values=VALUES)
def test_names_have_room_and_keep_their_order(values: list[float]) -> None:
    places = np.array(spread(values, 2.0))
    order = np.argsort(values, kind="stable")
    assert (np.diff(places[order]) >= 2 - 1e-9).all()


@given(values=st.sets(st.integers(-20, 20), min_size=1))
def test_names_that_have_room_stay(values: set[int]) -> None:
    assert spread([*values], 1.0) == [*values]


def test_equal_values_share_the_room_around_them() -> None:
    assert spread([3, 3, 3], 2.0) == [1.0, 3.0, 5.0]


def test_a_figure_names_each_line_beside_its_end() -> None:
    history = pd.DataFrame({"epoch": [0, 1, 2], "kl_1": [0, 1, 1.0], "kl_4": [2, 3, 4.0]})
    figure = figures.kl_per_resolution(history)
    (axes,) = figure.axes
    assert figure.legends == []
    named = {text.get_text(): text.xy for text in axes.texts}
    assert {words: tuple(map(float, at)) for words, at in named.items()} == {
        "latents of\n1 × 1": (2.0, 1.0),
        "latents of\n4 × 4": (2.0, 4.0),
    }
