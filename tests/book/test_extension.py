"""What the book adds to Sphinx: icons in prose, the book's card, classes in the reference."""

import io
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

import ccl.losses
from ccl.pairs import Pairs
from ccl.views.options import CropOptions
from companion.book import extension, tables
from companion.book.card import card
from companion.book.figures.look import MARKS_BY_LABEL

ROOT = Path(__file__).parents[2]
REFERENCE = {path.stem: path.read_text() for path in sorted((ROOT / "book/api").glob("*.md"))}


@pytest.mark.parametrize("label", ["CF-DINO", "Dead-leaves weights"])
def test_a_table_shows_the_icon_of_a_strategy(label: str) -> None:
    html = tables.show(pd.DataFrame({label: [1.0]}, index=["Aurora"]), "{:.1f}").to_html()
    assert html.count("<svg") == 1
    assert f"</svg>{label}" in html


@pytest.mark.parametrize(
    ("written", "words"),
    [("CF-DINO", "CF-DINO"), ("oracle pairs <Oracle pairs>", "oracle pairs"), ("BYOL", None)],
)
def test_prose_shows_the_icon_of_a_strategy(written: str, words: str | None) -> None:
    role = extension.StrategyRole()
    role.text, errors = written, []
    role.inliner = SimpleNamespace(reporter=SimpleNamespace(error=errors.append))
    shown, _ = role.run()
    assert (errors == []) is (words is not None)
    if words is not None:
        icon, text = shown
        assert icon.astext() == MARKS_BY_LABEL[written.rpartition("<")[2].strip(">")].icon
        assert text.astext() == words


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("L")).astype(float)


def test_the_stored_card_is_the_drawn_one() -> None:
    """Made anew by `Path("book/style/card.png").write_bytes(card())`."""
    stored = pixels((ROOT / extension.CARD.replace("_static", "book/style")).read_bytes())
    assert stored.shape == (630, 1200)
    assert np.abs(stored - pixels(card())).mean() < 1  # type may be drawn differently elsewhere


def metatags(address: str, monkeypatch: pytest.MonkeyPatch, of_variable: str = "") -> str:
    """What a page says of itself in a book with an address."""
    app = SimpleNamespace(config=SimpleNamespace(html_baseurl=address))
    monkeypatch.setenv("CCL_BOOK_URL", of_variable)
    extension.read_address(app, app.config)
    context = {"metatags": "<meta/>"}
    extension.name_card(app, "book/index", "page.html", context, None)
    return context["metatags"]


def test_pages_name_the_card_by_its_whole_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("https://a.org/ccl", "https://a.org/ccl/"):
        assert 'content="https://a.org/ccl/_static/card.png"' in metatags(address, monkeypatch)
    tags = metatags("https://a.org", monkeypatch, 'https://b.org/"><script>')
    assert 'content="https://b.org/&#34;&gt;&lt;script&gt;/_static/card.png"' in tags
    with pytest.raises(ValueError, match="CCL_BOOK_URL"):
        metatags("a.org/ccl", monkeypatch)


def test_a_book_without_address_names_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    assert metatags("", monkeypatch) == "<meta/>"
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["html"]["baseurl"] == ""
    assert (ROOT / config["html"]["favicon"]).is_file()


def documented(page: str) -> set[str]:
    return set(re.findall(r"^\.\. auto\w+:: (\S+)$", REFERENCE[page], re.MULTILINE))


def test_every_subpackage_has_a_page_with_all_its_modules() -> None:
    folders = {path.parent for path in (ROOT / "ccl").glob("*/__init__.py")}
    assert {folder.name for folder in folders} | {"pairs"} == set(REFERENCE)
    for folder in folders:
        modules = {f"ccl.{folder.name}.{p.stem}" for p in folder.glob("*.py")}
        modules -= {f"ccl.{folder.name}.__init__"}
        if folder.name == "losses":
            modules = {f"ccl.losses.{name}" for name in ccl.losses.__all__}
        assert modules <= documented(folder.name)
    assert documented("pairs") == {"ccl.pairs"}


def test_options_are_shown_as_they_would_be_typed() -> None:
    shown = extension.options_signature(None, "class", "", CropOptions, None, "", "")
    assert "local_crops: int = 4" in shown[0]
    assert "blur_probability: tuple[float, float, float] = (1.0, 0.1, 0.5)" in shown[0]
    assert "GlobalCropOptions = GlobalCropOptions()" in shown[0]
    plain = extension.options_signature(None, "class", "", dict, None, "(a=<factory>)", "")
    assert plain == ("(a=...)", "")


def test_a_class_is_shown_with_what_it_takes() -> None:
    lines = ["Source images.", "", "Source:", "    A paper."]
    extension.add_arguments(None, "class", "", Pairs, None, lines)
    assert "    strategy: how partners are made." in lines
    assert lines.index("Args:") < lines.index("Source:")
    extension.add_arguments(None, "class", "", CropOptions, None, untouched := ["Crops."])
    assert untouched == ["Crops."]


def test_long_signatures_are_no_list_of_definitions() -> None:
    signature = '<dt class="sig py" id="f">f(\n<dl>\n<dd>a,</dd>\n</dl>\n)</dt>'
    described = "<dd><dl><dt>Returns</dt><dd>b</dd></dl></dd>"
    context = {"body": f"<dl>{signature}{described}</dl>"}
    extension.plain_signatures(None, "api/losses", "page.html", context, None)
    lines = '<span class="ccl-sig-dl">\n<span class="ccl-sig-dd">a,</span>\n</span>'
    assert context["body"] == f'<dl><dt class="sig py" id="f">f(\n{lines}\n)</dt>{described}</dl>'
