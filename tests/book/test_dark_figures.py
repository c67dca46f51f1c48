"""Drawings are vectors, which dark mode inverts; figures that hold pictures are not."""

from xml.etree import ElementTree

import numpy as np
import pandas as pd

from companion.book import figures

HISTORY = pd.DataFrame({"epoch": [0, 1], "kl_4": [1.0, 2]})


def test_a_drawing_is_the_same_vectors_each_time_with_words_as_text() -> None:
    svg = figures.kl_per_resolution(HISTORY)._repr_svg_()
    assert svg == figures.kl_per_resolution(HISTORY)._repr_svg_()
    words = [each.text for each in ElementTree.fromstring(svg).iter() if each.tag.endswith("}text")]
    assert "epoch" in words


def test_pictures_are_never_inverted() -> None:
    image = np.zeros((8, 8), np.uint8)
    assert figures.image_grid([[image]], columns=["x"])._repr_svg_() is None
