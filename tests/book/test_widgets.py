"""Widgets load nothing, and cannot be broken by names."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from companion.book.curves import Facet, curves_html
from companion.book.explorer import ExplorerItem, explorer_html
from companion.book.figures.look import STRATEGIES
from companion.book.forest import Effect, forest_html
from companion.book.pair_maker import pair_maker_html
from companion.book.projections import projection_html

HOSTILE = "</script><img src=x onerror=alert(1)> & \"' <!-- {{ 7 * 7 }}"
IMAGES = np.zeros((16, 8, 8), np.uint8)


class Tags(HTMLParser):
    """Every start tag with its attributes, and the text of JSON scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][1].get("type") == "application/json" and data.strip():
            self.data.append(data)


def payload(page: str) -> dict[str, Any]:
    """What the script reads."""
    read: dict[str, Any] = json.loads(Tags(page).data[0])
    return read


def explorer(name: str) -> str:
    image = IMAGES[0]
    return explorer_html([ExplorerItem(name, name, "F", name, image, {(name, "F"): image})])


def projection(name: str) -> str:
    colours = {name: {name: "#000000"}}
    return projection_html({name: np.eye(2)}, IMAGES[:2], [name] * 2, {name: [name] * 2}, colours)


def pair_maker(name: str) -> str:
    return pair_maker_html({"plus": IMAGES}, [name] * 16, {"plus": {"plus": np.eye(16)}}, 0.1)


def curves(name: str) -> str:
    row = {"strategy": "standard", "domain": name, "x": 1, "value": 0.5, "ci_low": 0, "ci_high": 1}
    facets = {
        "strategy": Facet(name, "colour", {"standard": name}, marks=STRATEGIES),
        "domain": Facet(name, "panel", {name: name}),
    }
    return curves_html(pd.DataFrame([row]), facets, {"name": name}, measure=name)


def forest(name: str) -> str:
    return forest_html([(name, [Effect("build", 0.04, 0.0, 0.08)])])


@pytest.mark.parametrize("widget", [explorer, projection, pair_maker, curves, forest])
def test_names_cannot_leave_their_place_and_nothing_is_loaded(widget: Callable) -> None:
    page = widget(HOSTILE)
    found, harmless = Tags(page), Tags(widget("A"))
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in harmless.tags]
    assert all(json.dumps(HOSTILE)[1:-1] in json.dumps(json.loads(each)) for each in found.data)
    assert not re.search(r"innerHTML|url\(|@import|\bimport\(|fetch\(", page)
    assert set(re.findall(r"https?://[^\s\"']+", page)) <= {"http://www.w3.org/2000/svg"}
    for tag, attributes in found.tags:
        assert tag not in ("link", "iframe", "img")
        assert not {"src", "href", "id"} & attributes.keys()
