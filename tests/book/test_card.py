"""The stored card is what the code draws; the landing page names it and the icon.

Made anew by `Path("book/style/card.png").write_bytes(card())`.
"""

import io
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from companion.book.card import card

ROOT = Path(__file__).parents[2]


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("L")).astype(float)


def test_the_stored_card_is_the_drawn_one() -> None:
    stored = pixels((ROOT / "book/style/card.png").read_bytes())
    assert stored.shape == (630, 1200)
    assert np.abs(stored - pixels(card())).mean() < 1  # type may be drawn differently elsewhere


def test_pages_name_card_and_icon() -> None:
    front = (ROOT / "book/index.md").read_text().split("---")[1]
    meta = yaml.safe_load(front)["myst"]["html_meta"]
    assert (ROOT / "book" / meta["property=og:image"].replace("../_static", "style")).is_file()
    html = yaml.safe_load((ROOT / "_config.yml").read_text())["html"]
    assert (ROOT / html["favicon"]).is_file()
