"""Figures are vectors and have dark copies; pages lose scripts that they have no use for."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from companion.book import figures
from companion.book.figures.colours import CARD, DARK, INK, darkened
from companion.book.finishing import finish

HISTORY = pd.DataFrame({"epoch": [0, 1], "kl_4": [1.0, 2]})
PICTURE = re.compile(r'href="data:image/png;base64,[^"]*"')
MATHJAX = '<script defer="defer" src="../_static/mathjax/tex-svg.js?v=1"></script>\n'
ICONS = '<script defer src="../_static/scripts/fontawesome.js?digest=2"></script>\n'
REST = '<script src="../_static/doctools.js"></script><i class="fa-solid"></i>'


def test_a_drawing_is_the_same_vectors_each_time_with_words_as_text() -> None:
    svg = figures.kl_per_resolution(HISTORY)._repr_svg_()
    assert svg == figures.kl_per_resolution(HISTORY)._repr_svg_()
    words = [each.text for each in ElementTree.fromstring(svg).iter() if each.tag.endswith("}text")]
    assert "epoch" in words


def test_a_dark_copy_has_other_grounds_and_words_and_the_same_pictures() -> None:
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    light = figures.image_grid([[image, image.T]], columns=["x", "y"])._repr_svg_()
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
    finish(tmp_path)
    once = page.read_text()
    shown = re.findall(
        r'<img class="only-(\w+)" alt="A line." src="../_images/([\w.]+)" style', once
    )
    assert shown == [("light", "f.svg"), ("dark", "f.dark.svg")]
    assert once.endswith(photograph)
    assert DARK[INK] in (pictures / "f.dark.svg").read_text()
    finish(tmp_path)  # a page that Sphinx had no need to write anew
    assert page.read_text() == once
    assert sorted(file.name for file in pictures.iterdir()) == ["f.dark.svg", "f.svg"]


def test_scripts_without_use_are_taken_out(tmp_path: Path) -> None:
    equation = '<span class="math notranslate">x</span>'
    (tmp_path / "words.html").write_text(MATHJAX + ICONS + REST)
    (tmp_path / "math.html").write_text(MATHJAX + ICONS + REST + equation)
    finish(tmp_path)
    assert (tmp_path / "words.html").read_text() == REST
    assert (tmp_path / "math.html").read_text() == MATHJAX + REST + equation
