"""The built book in headless Chromium: every page, nothing loaded from elsewhere, widgets move.

Needs `make book` before, and an installed Chromium.
"""

import functools
import http.server
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
import yaml

from ccl.generator.generator import to_images
from companion.book.building import pages_of
from companion.book.grids import pick
from companion.cohorts.cohort import Cohort
from companion.engine import pointers
from companion.engine.storage import read_json
from companion.experiments import plan
from companion.experiments.generator import load
from tests.book import chromium
from tests.book.test_book import ROOT

HTML = ROOT / "_build" / "html"
SCREENSHOTS = ROOT / "_build" / "screenshots"
# The table of contents that the book was built with: the pages of the cohorts that it shows.
CONTENTS = ROOT / "_build" / "_toc.yml"
PAGES = sorted(pages_of(yaml.safe_load(CONTENTS.read_text()))) if CONTENTS.is_file() else []

# What CI has the time for; all pages, sizes and modes: `make screenshots`.
IN_CI = ("index", "pairing", "executed/explorer", "executed/objective", "executed/probing")
slow = pytest.mark.slow


def in_ci(page: str) -> bool:
    return page in {f"book/{name}" for name in IN_CI}


pytestmark = pytest.mark.browser


@pytest.fixture
def tab(browser: chromium.Tab) -> chromium.Tab:
    if not HTML.is_dir():
        pytest.skip("there is no book: run `make book`")
    return browser


def address(page: str) -> str:
    return (HTML / f"{page}.html").as_uri()


def elsewhere(tab: chromium.Tab, home: str = "file:") -> list[str]:
    """What a page asked for outside of the book."""
    return [url for url in tab.requests if not url.startswith((home, "data:", "blob:"))]


# A picture or widget of some size that the window shows before anybody scrolls.
PICTURES = """[...document.querySelectorAll(
    '.bd-article img, .bd-article svg.ccl-drawing, .ccl-widget, .ccl-forest')]
  .map(each => each.getBoundingClientRect())
  .some(box => box.width > 120 && box.height > 40 && box.top < innerHeight - 120)"""
TABLES = {"book/executed/status"}  # computed, and nothing to look at


SIZES = {390: 844, 1280: 800, 1920: 1080}


@pytest.mark.parametrize(
    ("page", "width", "height", "dark"),
    [
        pytest.param(page, width, height, dark, marks=() if once or everywhere else slow)
        for page in PAGES
        for width, height in SIZES.items()
        for dark in (False, True)
        for once in [width == 390 and not dark and not page.startswith("book/api/")]
        for everywhere in [in_ci(page) and width == 1280]
    ],
)
def test_page_is_whole_and_asks_nobody(
    tab: chromium.Tab, page: str, width: int, height: int, dark: bool
) -> None:
    """Its first screen is kept in `_build/screenshots/`, for a person to look at."""
    tab.open(address(page), width=width, height=height, dark=dark)
    file = SCREENSHOTS / f"{width}-{'dark' if dark else 'light'}" / f"{page.replace('/', '-')}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    tab.screenshot(file, full=False)
    assert elsewhere(tab) == []
    assert tab.errors == []
    assert tab.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert tab.run("document.documentElement.scrollWidth <= innerWidth"), "scrolls sideways"
    assert not tab.run("!!document.querySelector('mjx-merror')")
    if page in ("book/index", "book/claims") or (
        page.startswith("book/executed/") and page not in TABLES
    ):
        assert tab.run(PICTURES), "its first screen has nothing to look at"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of the book on a server of this machine."""
    handler = functools.partial(Silent, directory=str(HTML))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}/"
        serving.shutdown()


class Silent(http.server.SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.mark.parametrize("page", ["book/index", "book/executed/explorer", "book/executed/probing"])
def test_a_server_shows_the_same(tab: chromium.Tab, server: str, page: str) -> None:
    tab.open(f"{server}{page}.html")
    tab.wait("document.querySelector('.ccl-widget canvas, .ccl-widget figure svg') !== null")
    assert elsewhere(tab, server) == []
    assert tab.errors == []


def test_the_landing_page_is_light(tab: chromium.Tab) -> None:
    """All that it asks for, before any compression."""
    tab.open(address("book/index"))
    files = {Path(unquote(urlparse(url).path)) for url in tab.requests if url.startswith("file:")}
    assert sum(file.stat().st_size for file in files) < 1_500_000


def test_search_finds_pages(tab: chromium.Tab) -> None:
    tab.open((HTML / "search.html").as_uri() + "?q=abduction")
    tab.wait("document.querySelectorAll('#search-results li a').length > 0")
    found = tab.run("[...document.querySelectorAll('#search-results li a')].map(a => a.href)")
    assert any("causal.html" in href for href in found)


def test_equations_are_drawn(tab: chromium.Tab) -> None:
    tab.open(address("book/contrastive"))
    assert tab.run("document.querySelectorAll('mjx-container svg').length") > 10


def test_the_explorer_shows_what_pytorch_computes(tab: chromium.Tab) -> None:
    """End to end: patients and scanners of the built page, 8-bit pixels on its canvas."""
    notebook = read_json(ROOT / "book/executed/explorer.ipynb")
    known = notebook["metadata"]["papermill"]["parameters"]
    root = plan.folder(known["profile"], known["cohort"])
    cohort = Cohort.load(pointers.read_pointer(root, "cohort").folder)
    generator = load(pointers.read_pointer(root, "generator").folder)
    rows = pick(cohort, 4)
    exogenous = generator.abduct(*generator.observed(cohort, rows))
    tab.open(address("book/executed/explorer"))
    tab.wait("document.querySelector('.ccl-explorer [data-part=says]') !== null")
    errors = []
    for scanner in generator.parents.values["scanner"]:
        wanted = to_images(generator.predict(exogenous, do={"scanner": scanner}))
        for i, image in enumerate(wanted):
            tab.click(".ccl-explorer [data-part=strip] button", i)
            tab.click(f".ccl-explorer [data-part=scanner] button[value={json.dumps(scanner)}]")
            grey = tab.run(
                "(c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
                ".filter((_, k) => k % 4 === 0))"
                "(document.querySelectorAll('.ccl-explorer .ccl-panel > .ccl-frame > canvas')[1])"
            )
            errors.append(np.abs(np.reshape(grey, image.shape) - image.astype(float)).mean())
    assert len(errors) == len(rows) * len(generator.parents.values["scanner"])
    assert np.mean(errors) <= 0.05


def test_the_explorer_answers_quickly(tab: chromium.Tab) -> None:
    """The best of some answers, as other programs may be running."""
    tab.open(address("book/executed/explorer"))
    tab.wait("document.querySelector('.ccl-explorer [data-part=says]') !== null")
    for value in (0.2, 0.4, 0.6, 0.8, 0.3, 0.5, 0.7, 0.9):
        tab.set(".ccl-explorer [data-part=way-scanner]", value)
        says = tab.text(".ccl-explorer [data-part=says]")
        if int(re.search(r"in (\d+) ms", says)[1]) <= 100:
            return
    pytest.fail(f"no answer within 100 ms: {says}")


def test_pages_are_below_four_megabytes() -> None:
    sizes = {page: (HTML / f"{page}.html").stat().st_size for page in PAGES}
    assert {page: size for page, size in sizes.items() if size >= 4_000_000} == {}


@pytest.mark.parametrize("still", [False, True])
def test_the_landing_page_moves_unless_less_motion_is_asked_for(
    tab: chromium.Tab, still: bool
) -> None:
    preference = {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"}
    tab.open(address("book/index"))
    tab.call("Emulation.setEmulatedMedia", features=[preference])
    tab.call("Page.reload")
    time.sleep(1)  # what runs meanwhile would end with the page
    line = "document.querySelector('.ccl-hero .ccl-line')?.style.left"
    tab.wait(f"Boolean({line})")
    before = tab.run(line)
    tab.run("new Promise(done => setTimeout(done, 400))")
    assert (tab.run(line) == before) is still
    tab.set(".ccl-hero [data-part=sweep]", 25)
    assert tab.run(line) == "25%"
    links = tab.run("[...document.querySelectorAll('.ccl-hero a')].map(a => a.href)")
    assert len(links) == 3
    assert all(Path(unquote(urlparse(link).path)).is_file() for link in links)


def test_teaching_widgets_move(tab: chromium.Tab) -> None:
    tab.open(address("book/contrastive"))
    loss = "#ccl-temperature [data-part=loss]"
    before = tab.text(loss)
    tab.set("#ccl-temperature [data-part=slider-tau]", -0.3)
    assert tab.text(loss) != before
    tab.open(address("book/causal"))
    curve = "document.querySelector('#ccl-scm [data-curve=x]').getAttribute('points')"
    before = tab.run(curve)
    tab.click('#ccl-scm button[value="3"]')
    assert tab.run(curve) != before
    tab.open(address("book/distillation"))
    assert "one prototype" in tab.text("#ccl-centering [data-part=says]")
    tab.click("#ccl-centering button[value=sinkhorn]")
    assert "tell images apart" in tab.text("#ccl-centering [data-part=says]")


def test_this_suite_sees_a_request(tab: chromium.Tab, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><img src='http://127.0.0.1:9/x.png'><script>oops()</script>")
    tab.open(page.as_uri())
    assert any(url.startswith("http://127.0.0.1:9") for url in tab.requests)
    assert any("oops" in error for error in tab.errors)
