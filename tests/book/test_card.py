"""The stored card is what the code draws; the landing page names it and the icon.

Made anew by `Path("book/style/card.png").write_bytes(card())`.
"""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image

from companion.book import social
from companion.book.card import card

ROOT = Path(__file__).parents[2]


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("L")).astype(float)


def test_the_stored_card_is_the_drawn_one() -> None:
    stored = pixels((ROOT / "book/style/card.png").read_bytes())
    assert stored.shape == (630, 1200)
    assert np.abs(stored - pixels(card())).mean() < 1  # type may be drawn differently elsewhere


def metatags(address: str, monkeypatch: pytest.MonkeyPatch, of_variable: str = "") -> str:
    """What a page says of itself in a book with an address."""
    app = SimpleNamespace(config=SimpleNamespace(html_baseurl=address))
    monkeypatch.setenv("CCL_BOOK_URL", of_variable)
    social.read_address(app, app.config)
    context = {"metatags": "<meta/>"}
    social.name_card(app, "book/index", "page.html", context, None)
    return context["metatags"]


def test_pages_name_the_card_by_its_whole_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (ROOT / social.CARD.replace("_static", "book/style")).is_file()
    for address in ("https://a.org/ccl", "https://a.org/ccl/"):
        assert 'content="https://a.org/ccl/_static/card.png"' in metatags(address, monkeypatch)
    tags = metatags("https://a.org", monkeypatch, "https://b.org/it")
    assert "https://b.org/it/_static/card.png" in tags
    assert "a.org" not in tags
    with pytest.raises(ValueError, match="CCL_BOOK_URL"):
        metatags("a.org/ccl", monkeypatch)


def test_a_book_without_address_names_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    assert metatags("", monkeypatch) == "<meta/>"
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["html"]["baseurl"] == ""
    assert "companion.book.social" in config["sphinx"]["config"]["extensions"]
    assert (ROOT / config["html"]["favicon"]).is_file()
