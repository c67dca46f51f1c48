"""Figures are vectors, of which a built book has dark copies; pictures in them stay as they are."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from companion.book import figures
from companion.book.dark import add_dark_figures
from companion.book.figures.colours import CARD, DARK, INK, darkened

HISTORY = pd.DataFrame({"epoch": [0, 1], "kl_4": [1.0, 2]})
PICTURE = re.compile(r'href="data:image/png;base64,[^"]*"')


def test_a_drawing_is_the_same_vectors_each_time_with_words_as_text() -> None:
    svg = figures.kl_per_resolution(HISTORY)._repr_svg_()
    assert svg == figures.kl_per_resolution(HISTORY)._repr_svg_()
    words = [each.text for each in ElementTree.fromstring(svg).iter() if each.tag.endswith("}text")]
    assert "epoch" in words


def test_a_dark_copy_has_other_grounds_and_words_and_the_same_pictures() -> None:
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    light = figures.image_grid([[image, image.astype(int)]], columns=["x", "y"])._repr_svg_()
    dark = darkened(light)
    assert PICTURE.findall(dark) == PICTURE.findall(light) != []
    for colour in (CARD, INK):
        assert colour.lower() in light
        assert colour.lower() not in dark
        assert DARK[colour] in dark


def test_pages_show_the_light_figure_or_the_dark_one(tmp_path: Path) -> None:
    page, pictures = tmp_path / "book" / "a.html", tmp_path / "_images"
    for folder in (page.parent, pictures):
        folder.mkdir()
    (pictures / "f.svg").write_text(f'<svg><rect fill="{INK.lower()}"/></svg>')
    photograph = '<img src="../_images/p.png" />'
    page.write_text(f'<img alt="A line." src="../_images/f.svg" style="width: 100%" />{photograph}')
    add_dark_figures(tmp_path)
    once = page.read_text()
    shown = re.findall(
        r'<img class="only-(\w+)" alt="A line." src="../_images/([\w.]+)" style', once
    )
    assert shown == [("light", "f.svg"), ("dark", "f.dark.svg")]
    assert once.endswith(photograph)
    assert DARK[INK] in (pictures / "f.dark.svg").read_text()
    add_dark_figures(tmp_path)  # a page that Sphinx had no need to write anew
    assert page.read_text() == once
    assert sorted(file.name for file in pictures.iterdir()) == ["f.dark.svg", "f.svg"]
