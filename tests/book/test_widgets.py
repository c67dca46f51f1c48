"""Widgets hold what is shown exactly, load nothing, and cannot be broken by names."""

import base64
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser

import ipywidgets
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from companion.book.curves import Facet, curves_html
from companion.book.explorer import ExplorerItem, difference_image, explore, explorer_html
from companion.book.figures.look import STRATEGIES
from companion.book.forest import Effect, forest_html
from companion.book.projections import projection_html

HOSTILE = "</script><img src=x onerror=alert(1)> & \"' <!-- {{ 7 * 7 }}"


def item(seed: int = 0, *, truth: bool = True, name: str = "P1", size: int = 16) -> ExplorerItem:
    """A patient with random images for two scanners and two sexes."""
    rng = np.random.default_rng(seed)
    targets = [(scanner, sex) for scanner in ("A", "B") for sex in ("F", "M")]

    def images() -> dict[tuple[str, str], np.ndarray]:
        return {t: rng.integers(0, 256, (size, size), dtype=np.uint8) for t in targets}

    real = rng.integers(0, 256, (size, size), dtype=np.uint8)
    return ExplorerItem(name, "A", "F", "pneumonia", real, images(), images() if truth else {})


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


def payload(page: str) -> dict:
    """What the script reads."""
    return json.loads(Tags(page).data[0])


def sprite(data: dict, index: int = 0) -> np.ndarray:
    """The pixels of one item's images, side by side."""
    encoded = data["items"][index]["sprite"].removeprefix("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))


@pytest.mark.parametrize("truth", [True, False])
def test_every_image_is_where_the_script_looks_for_it(truth: bool) -> None:
    patient = item(truth=truth)
    data = payload(explorer_html([patient]))
    pixels, width = sprite(data), data["width"]
    np.testing.assert_array_equal(pixels[:, :width], patient.real)
    for kind, images in (
        ("counterfactuals", patient.counterfactuals),
        ("truths", patient.truths),
    ):
        assert len(data["items"][0][kind]) == len(images)
        for (scanner, sex), image in images.items():
            at = data["items"][0][kind][f'["{scanner}","{sex}"]'] * width
            np.testing.assert_array_equal(pixels[:, at : at + width], image)


def explorer(name: str) -> str:
    return explorer_html(
        [ExplorerItem(name, name, "F", name, item().real, {(name, "F"): item().real})]
    )


def projection(name: str) -> str:
    maps, images = {name: np.eye(2)}, np.zeros((2, 8, 8), np.uint8)
    return projection_html(maps, images, [name] * 2, {name: [name] * 2}, {name: {name: "#000000"}})


def curves(name: str) -> str:
    row = {"strategy": "standard", "domain": name, "x": 1, "value": 0.5, "ci_low": 0, "ci_high": 1}
    facets = {
        "strategy": Facet(name, "colour", {"standard": name}, marks=STRATEGIES),
        "domain": Facet(name, "panel", {name: name}),
    }
    return curves_html(pd.DataFrame([row]), facets, {"name": name}, measure=name)


def forest(name: str) -> str:
    return forest_html([(name, [Effect("build", 0.04, 0.0, 0.08)])])


@pytest.mark.parametrize("widget", [explorer, projection, curves, forest])
def test_names_cannot_leave_their_place_and_nothing_is_loaded(widget: Callable) -> None:
    page = widget(HOSTILE)
    found, harmless = Tags(page), Tags(widget("A"))
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in harmless.tags]
    assert all(json.dumps(HOSTILE)[1:-1] in json.dumps(json.loads(each)) for each in found.data)
    assert not re.search(r"innerHTML|url\(|@import|\bimport\(|fetch\(", page)
    assert set(re.findall(r"https?://[^\s\"']+", page)) <= {"http://www.w3.org/2000/svg"}
    for tag, attributes in found.tags:
        assert tag not in ("link", "iframe", "img")
        assert not {"src", "href"} & attributes.keys()


def test_an_explorer_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one patient"):
        explorer_html([])


def test_differences_are_white_blue_and_red() -> None:
    before = np.array([[100, 100, 100]], np.uint8)
    unchanged, darker, brighter = difference_image(np.array([[100, 0, 200]], np.uint8), before)[0]
    assert unchanged.min() > 240
    assert darker[2] > darker[0]
    assert brighter[0] > brighter[2]


def test_live_explorer_decodes_what_is_chosen() -> None:
    calls = []

    def decode(index: int, do: dict[str, str]) -> np.ndarray:
        calls.append((index, do))
        return items[index].counterfactuals[do["scanner"], do["sex"]]

    items = [item(0), item(1, truth=False)]
    live = explore(decode, items, scanners=["A", "B"], sexes=["F", "M"])
    patient, scanner, _, boxes = live.children
    scanner.value = "B"
    assert calls[-1] == (0, {"scanner": "B", "sex": "F"})
    shown = Image.open(io.BytesIO(boxes.children[1].children[1].value))
    np.testing.assert_array_equal(np.asarray(shown)[::3, ::3], items[0].counterfactuals["B", "F"])
    patient.value = 1
    assert calls[-1] == (1, {"scanner": "B", "sex": "F"})
    assert boxes.children[3].layout.display == "none"
    assert isinstance(live, ipywidgets.VBox)
