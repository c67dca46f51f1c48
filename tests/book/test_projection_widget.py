"""Maps hold their thumbnails and places exactly, load nothing, and cannot be broken by names."""

import base64
import io
import json
import re
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from companion.book.widgets.projection import COLUMNS, projection_html, thumbnails
from tests.book import chromium
from tests.book.test_widgets import HOSTILE, Tags

N = COLUMNS + 3
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (N, 30, 20), dtype=np.uint8)
MAPS = {"SimCLR": RNG.normal(size=(N, 2)), "CF-SimCLR": 100 * RNG.normal(size=(N, 2))}
SCANNERS = ["A", "B"] * (N // 2)
COLOURS = {"scanner": {"A": "#0072B2", "B": "#E69F00"}}


def page(facts: str = "a patient", scanner: str = "A") -> str:
    scanners = [scanner if each == "A" else each for each in SCANNERS]
    colours = {"scanner": {scanner: "#0072B2", "B": "#E69F00"}}
    return projection_html(MAPS, IMAGES, [facts] * N, {"scanner": scanners}, colours)


def test_thumbnails_are_where_the_script_looks_for_them() -> None:
    data = json.loads(Tags(page()).data[0])
    encoded = data["sprite"].removeprefix("data:image/png;base64,")
    sprite = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
    height, width = data["height"], data["width"]
    for index in (0, COLUMNS - 1, COLUMNS, N - 1):
        y, x = height * (index // data["columns"]), width * (index % data["columns"])
        np.testing.assert_array_equal(sprite[y : y + height, x : x + width], IMAGES[index])


def test_large_images_become_means_of_blocks() -> None:
    large = np.arange(2 * 80 * 60, dtype=np.uint8).reshape(2, 80, 60)
    small = thumbnails(large)
    assert small.shape == (2, 40, 30)
    np.testing.assert_allclose(small[0, 0, 0], large[0, :2, :2].mean(), atol=0.5)


def test_places_keep_their_proportions_and_stay_inside() -> None:
    for shown in json.loads(Tags(page()).data[0])["maps"]:
        places, xy = np.array(shown["places"]), MAPS[shown["title"]]
        assert places.min() >= 0
        assert places.max() <= 100
        scale = np.ptp(places, axis=0) / np.ptp(xy, axis=0)
        np.testing.assert_allclose(scale[0], scale[1], rtol=0.01)
        assert np.corrcoef(places[:, 1], xy[:, 1])[0, 1] < -0.99  # y upwards on the page


def test_names_cannot_leave_their_place() -> None:
    hostile = page(HOSTILE, HOSTILE)
    assert [tag for tag, _ in Tags(hostile).tags] == [tag for tag, _ in Tags(page()).tags]
    data = json.loads(Tags(hostile).data[0])
    assert data["facts"][0] == HOSTILE
    assert data["colourings"]["scanner"]["names"][0] == HOSTILE


def test_nothing_is_loaded_from_elsewhere() -> None:
    addresses = re.findall(r"https?://[^\s\"']+", page())
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}  # a name, not an address to load
    for tag, attributes in Tags(page()).tags:
        assert tag not in ("link", "iframe", "img")
        assert not {"src", "href"} & attributes.keys()


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        projection_html(MAPS, IMAGES[1:], ["x"] * N, {"scanner": SCANNERS}, COLOURS)
    with pytest.raises(ValueError, match="do not fit"):
        projection_html({}, IMAGES, ["x"] * N, {"scanner": SCANNERS}, COLOURS)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Tab]:
    if chromium.executable() is None:
        pytest.skip(f"no Chromium is installed under the names {chromium.NAMES}")
    path = tmp_path_factory.mktemp("page") / "maps.html"
    path.write_text(f"<!doctype html><html lang='en'><meta charset='utf-8'>{page()}")
    with chromium.tab() as opened:
        opened.open(path.as_uri())
        opened.wait("document.querySelector('.ccl-projection [data-part=counts]') !== null")
        yield opened


def selected(tab: chromium.Tab) -> tuple[str, set[int]]:
    """What is said of the selection, and who is in it, in the second map."""
    says = tab.run("document.querySelector('.ccl-projection [data-part=counts]').textContent")
    places = tab.run(
        "[...document.querySelectorAll('.ccl-projection svg')[1].querySelectorAll('.ccl-chosen')]"
        ".map(c => [c.getAttribute('cx'), c.getAttribute('cy')].map(Number))"
    )
    known = json.loads(Tags(page()).data[0])["maps"][1]["places"]
    return says, {known.index(place) for place in places}


@pytest.mark.browser
def test_a_brush_selects_in_every_map(tab: chromium.Tab) -> None:
    left, top, side = tab.run(
        "(b => [b.left, b.top, b.width])"
        "(document.querySelector('.ccl-projection svg').getBoundingClientRect())"
    )
    steps = (("mousePressed", 0.0), ("mouseMoved", 0.5), ("mouseReleased", 0.5))
    for kind, share in steps:
        at = {"x": left + 1 + share * side, "y": top + 1 + share * side}
        held = {"button": "left", "buttons": int(kind != "mouseReleased")}
        tab.call("Input.dispatchMouseEvent", type=kind, clickCount=1, **at, **held)
    places = np.array(json.loads(Tags(page()).data[0])["maps"][0]["places"])
    inside = set(np.flatnonzero((places < 50).all(axis=1)).tolist())
    says, found = selected(tab)
    assert found == inside != set()
    b = sum(SCANNERS[i] == "B" for i in inside)
    assert says.startswith(f"{len(inside)} images selected in the map of SimCLR: scanner ")
    assert f"B {b}" in says
    tab.run("document.querySelector('.ccl-projection [data-part=clear]').click()")
    assert selected(tab) == ("", set())


@pytest.mark.browser
def test_neighbours_are_selected_without_a_pointer(tab: chromium.Tab) -> None:
    tab.run(
        "(() => { for (const [name, value] of [['slider', 3], ['neighbours', 4]]) {"
        "const s = document.querySelector(`.ccl-projection [data-part=${name}]`);"
        "s.value = value; s.dispatchEvent(new Event('input')); } })()"
    )
    xy = MAPS["SimCLR"]
    nearest = np.argsort(np.linalg.norm(xy - xy[3], axis=1))[:5]
    assert selected(tab)[1] == set(nearest.tolist())
