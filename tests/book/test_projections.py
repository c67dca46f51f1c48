"""Maps hold thumbnails and places exactly, and select in all what is selected in one."""

import base64
import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from companion.book.projections import (
    COLUMNS,
    colourings,
    palettes,
    projection_html,
    projection_page,
    thumbnails,
)
from companion.cohorts.cohort import Cohort
from tests.book import chromium
from tests.book.test_widgets import payload

N = COLUMNS + 3
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (N, 30, 20), dtype=np.uint8)
MAPS = {"SimCLR": RNG.normal(size=(N, 2)), "CF-SimCLR": 100 * RNG.normal(size=(N, 2))}
SCANNERS = ["A", "B"] * (N // 2)
COLOURS = {
    "scanner": {"A": "#0072B2", "B": "#E69F00"},
    "label": {"no": "#000000", "yes": "#E69F00"},
}
COLOURINGS = {"scanner": SCANNERS, "label": ["no"] * (N - 1) + ["yes"]}
PAGE = projection_html(MAPS, IMAGES, [f"patient {i}" for i in range(N)], COLOURINGS, COLOURS)
DATA = payload(PAGE)


def test_thumbnails_are_where_the_script_looks_for_them() -> None:
    encoded = DATA["sprite"].removeprefix("data:image/png;base64,")
    sprite = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
    height, width = DATA["height"], DATA["width"]
    for index in (0, COLUMNS - 1, COLUMNS, N - 1):
        y, x = height * (index // DATA["columns"]), width * (index % DATA["columns"])
        np.testing.assert_array_equal(sprite[y : y + height, x : x + width], IMAGES[index])
    large = np.arange(2 * 80 * 60, dtype=np.uint8).reshape(2, 80, 60)
    small = thumbnails(large)  # means of blocks
    assert small.shape == (2, 40, 30)
    np.testing.assert_allclose(small[0, 0, 0], large[0, :2, :2].mean(), atol=0.5)


def test_places_keep_their_proportions_and_stay_inside() -> None:
    for shown in DATA["maps"]:
        places, xy = np.array(shown["places"]), MAPS[shown["title"]]
        assert places.min() >= 0
        assert places.max() <= 100
        scale = np.ptp(places, axis=0) / np.ptp(xy, axis=0)
        np.testing.assert_allclose(scale[0], scale[1], rtol=0.01)
        assert np.corrcoef(places[:, 1], xy[:, 1])[0, 1] < -0.99  # y upwards on the page


def test_maps_are_coloured_by_what_the_table_knows(women: Cohort) -> None:
    rows = women.rows("test")
    coloured = colourings(women, rows)
    assert coloured["scanner"] == list(women.table["scanner"].iloc[rows])
    assert set(coloured["label"]) <= set(women.classes)
    implants = women.table["attribute"].iloc[rows] == "implant"
    if implants.any():
        assert coloured["attribute"].count("implant") == implants.sum()
    colours = palettes(women, coloured)
    assert all(set(coloured[by]) == set(colours[by]) for by in coloured)
    known = [*women.scanners, *women.held_out_scanners]
    assert list(colours["scanner"]) == [s for s in known if s in set(coloured["scanner"])]


def test_the_page_of_maps_names_strategies_and_patients(women: Cohort) -> None:
    rows = women.rows("test")
    maps = {"standard": np.random.default_rng(0).normal(size=(len(rows), 2))}
    data = payload(projection_page(women, maps, rows))
    assert [each["title"] for each in data["maps"]] == ["SimCLR"]
    assert data["facts"][0].startswith(str(women.table["patient_id"].iloc[rows[0]]))


@pytest.fixture
def tab(show: Callable[[str], chromium.Tab]) -> chromium.Tab:
    return show(PAGE)


def selected(tab: chromium.Tab) -> tuple[str, set[int]]:
    """What is said of the selection, and who is in it, in the second map."""
    places = tab.run(
        "[...document.querySelectorAll('.ccl-projection svg')[1].querySelectorAll('.ccl-chosen')]"
        ".map(c => [c.getAttribute('cx'), c.getAttribute('cy')].map(Number))"
    )
    known = DATA["maps"][1]["places"]
    return tab.text(".ccl-projection [data-part=counts]"), {known.index(place) for place in places}


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
    inside = set(np.flatnonzero((np.array(DATA["maps"][0]["places"]) < 50).all(axis=1)).tolist())
    says, found = selected(tab)
    assert found == inside != set()
    assert says.startswith(f"{len(inside)} images selected in the map of SimCLR: scanner ")
    assert f"B {sum(SCANNERS[i] == 'B' for i in inside)}" in says
    tab.click(".ccl-projection [data-part=clear]")
    assert selected(tab) == ("", set())


@pytest.mark.browser
def test_one_image_its_neighbours_and_colours_are_chosen_without_a_pointer(
    tab: chromium.Tab,
) -> None:
    fills = (
        "[...document.querySelectorAll('.ccl-projection circle')].map(c => c.getAttribute('fill'))"
    )
    image = "document.querySelector('.ccl-projection [data-part=image]').toDataURL()"
    before = tab.run(image), tab.run(fills)
    tab.set(".ccl-projection [data-part=slider]", 3)
    tab.set(".ccl-projection [data-part=neighbours]", 4)
    xy = MAPS["SimCLR"]
    nearest = np.argsort(np.linalg.norm(xy - xy[3], axis=1))[:5]
    assert selected(tab)[1] == set(nearest.tolist())
    assert tab.run(image) != before[0]
    assert "patient 3" in tab.text(".ccl-projection [data-part=says]")
    tab.click(".ccl-projection button[value=label]")
    assert tab.run(fills) != before[1]
