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
from companion.book.grids import pick
from companion.cohorts.cohort import Cohort
from companion.engine import pointers
from companion.engine.storage import read_json
from companion.experiments import plan
from companion.experiments.generator import load
from tests.book import chromium
from tests.book.test_book import ROOT, pages

HTML = ROOT / "_build" / "html"
SCREENSHOTS = ROOT / "_build" / "screenshots"
# The table of contents that the book was built with: the pages of the cohorts that it shows.
CONTENTS = ROOT / "_build" / "_toc.yml"
PAGES = sorted(pages(yaml.safe_load(CONTENTS.read_text()))) if CONTENTS.is_file() else []

# What CI has the time for; all pages, sizes and modes: `make screenshots`.
IN_CI = ("index", "pairing", "executed/explorer", "executed/objective", "executed/probing")
slow = pytest.mark.slow


def in_ci(page: str) -> bool:
    return page in {f"book/{name}" for name in IN_CI}


pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def tab() -> Iterator[chromium.Tab]:
    if chromium.executable() is None:
        pytest.skip(f"no Chromium is installed under the names {chromium.NAMES}")
    if not HTML.is_dir():
        pytest.skip("there is no book: run `make book`")
    with chromium.tab() as opened:
        yield opened


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


def shown(tab: chromium.Tab, panel: int) -> str:
    """The pixels of one panel of the first explorer."""
    canvas = f"document.querySelectorAll('.ccl-explorer .ccl-panel > .ccl-frame > canvas')[{panel}]"
    return tab.run(f"{canvas}.toDataURL()")


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
            tab.run(
                f"document.querySelectorAll('.ccl-explorer [data-part=strip] button')[{i}].click();"
                "document.querySelector('.ccl-explorer [data-part=scanner]')"
                f".querySelector('button[value={json.dumps(scanner)}]').click()"
            )
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
    says = "document.querySelector('.ccl-explorer [data-part=says]').textContent"
    for value in (0.2, 0.4, 0.6, 0.8, 0.3, 0.5, 0.7, 0.9):
        tab.run(
            "(() => { const s = document.querySelector('.ccl-explorer [data-part=way-scanner]');"
            f"s.value = {value}; s.dispatchEvent(new Event('input')); }})()"
        )
        tab.run("new Promise(done => requestAnimationFrame(() => setTimeout(done, 20)))")
        if int(re.search(r"in (\d+) ms", tab.run(says))[1]) <= 100:
            return
    pytest.fail(f"no answer within 100 ms: {tab.run(says)}")


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
    tab.run(
        "(() => { const s = document.querySelector('.ccl-hero [data-part=sweep]');"
        "s.value = 25; s.dispatchEvent(new Event('input')); })()"
    )
    assert tab.run(line) == "25%"
    links = tab.run("[...document.querySelectorAll('.ccl-hero a')].map(a => a.href)")
    assert len(links) == 3
    assert all(Path(unquote(urlparse(link).path)).is_file() for link in links)


def test_explorer_moves(tab: chromium.Tab) -> None:
    tab.open(address("book/executed/explorer"))
    tab.wait("document.querySelector('.ccl-explorer [data-part=scanner] button') !== null")
    real, before = shown(tab, 0), shown(tab, 1)
    tab.run(
        "[...document.querySelectorAll('.ccl-explorer [data-part=scanner] button')]"
        ".find(b => b.getAttribute('aria-pressed') === 'false').click()"
    )
    assert shown(tab, 0) == real
    assert shown(tab, 1) != before
    tab.run("document.querySelectorAll('.ccl-explorer [data-part=strip] button')[1].click()")
    assert shown(tab, 0) != real


def test_explorer_answers_to_the_keyboard(tab: chromium.Tab) -> None:
    tab.open(address("book/executed/explorer"))
    tab.wait("document.querySelector('.ccl-explorer [data-part=scanner] button') !== null")
    before = shown(tab, 1)
    tab.run(
        "[...document.querySelectorAll('.ccl-explorer [data-part=scanner] button')]"
        ".find(b => b.getAttribute('aria-pressed') === 'false').focus()"
    )
    for kind in ("keyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key=" ", code="Space", text=" ")
    assert shown(tab, 1) != before


def test_maps_show_the_image_that_is_asked_for(tab: chromium.Tab) -> None:
    tab.open(address("book/executed/projections"))
    tab.wait("document.querySelector('.ccl-projection [data-part=slider]')?.max > 0")
    says = "document.querySelector('.ccl-projection [data-part=says]').textContent"
    image = "document.querySelector('.ccl-projection [data-part=image]').toDataURL()"
    now = "document.querySelectorAll('.ccl-projection circle.ccl-now').length"
    maps = tab.run("document.querySelectorAll('.ccl-projection svg').length")
    before = tab.run(says), tab.run(image)
    tab.run(
        "(() => { const s = document.querySelector('.ccl-projection [data-part=slider]');"
        "s.value = 7; s.dispatchEvent(new Event('input')); })()"
    )
    assert tab.run(says) != before[0]
    assert tab.run(image) != before[1]
    assert tab.run(now) == maps > 1
    circles = "[...document.querySelectorAll('.ccl-projection circle')]"
    colours = f"{circles}.map(c => c.getAttribute('fill')).join()"
    scanner = tab.run(colours)
    tab.run("document.querySelector('.ccl-projection button[value=label]').click()")
    assert tab.run(colours) != scanner


def test_teaching_widgets_move(tab: chromium.Tab) -> None:
    tab.open(address("book/contrastive"))
    loss = "document.querySelector('#ccl-temperature [data-part=loss]').textContent"
    before = tab.run(loss)
    tab.run(
        "(() => { const s = document.querySelector('#ccl-temperature [data-part=slider-tau]');"
        "s.value = -0.3; s.dispatchEvent(new Event('input')); })()"
    )
    assert tab.run(loss) != before
    tab.open(address("book/causal"))
    curve = "document.querySelector('#ccl-scm [data-curve=x]').getAttribute('points')"
    before = tab.run(curve)
    tab.run("document.querySelector('#ccl-scm button[value=\"3\"]').click()")
    assert tab.run(curve) != before
    tab.open(address("book/distillation"))
    says = "document.querySelector('#ccl-centering [data-part=says]').textContent"
    assert "one prototype" in tab.run(says)
    tab.run("document.querySelector('#ccl-centering button[value=sinkhorn]').click()")
    assert "tell images apart" in tab.run(says)


def test_this_suite_sees_a_request(tab: chromium.Tab, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><img src='http://127.0.0.1:9/x.png'><script>oops()</script>")
    tab.open(page.as_uri())
    assert any(url.startswith("http://127.0.0.1:9") for url in tab.requests)
    assert any("oops" in error for error in tab.errors)
