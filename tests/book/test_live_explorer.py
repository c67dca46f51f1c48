"""The explorer with a generator in the page, from a file, without a server (headless Chromium)."""

from collections.abc import Callable

import numpy as np
import pytest

from companion.book.explorer import ExplorerItem, explorer_html
from companion.book.live import live
from tests.book import chromium
from tests.book.test_live_generator import FRAME, OPTIONS, made

SAYS = ".ccl-explorer [data-part=says]"
SHOWN = ".ccl-explorer .ccl-panel:not([hidden]) > .ccl-frame > canvas"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page() -> str:
    rng = np.random.default_rng(0)
    items = []
    for name, scanner, sex in (("P1", "A", "F"), ("P2", "B", "M")):
        real = rng.integers(0, 200, FRAME, dtype=np.uint8)
        truths = {(s, x): rng.integers(0, 256, FRAME, np.uint8) for s in "ABC" for x in "FM"}
        parents = {"scanner": scanner, "sex": sex}
        items.append(ExplorerItem(name, scanner, sex, "healthy", real, {}, truths, parents))
    return explorer_html(items, live(made(OPTIONS["quick"])))


@pytest.fixture
def tab(show: Callable[[str], chromium.Tab], page: str) -> chromium.Tab:
    opened = show(page)
    opened.wait(f"document.querySelector('{SAYS}')?.textContent.length > 0")
    return opened


def part(name: str) -> str:
    return f".ccl-explorer [data-part={name}]"


def image(tab: chromium.Tab, title: str) -> str | None:
    """The pixels of the panel of a title; None where it is hidden."""
    return tab.run(
        f"[...document.querySelectorAll('.ccl-explorer .ccl-panel')].filter(p => !p.hidden"
        f" && p.querySelector('b').textContent === '{title}')"
        ".map(p => p.querySelector('canvas').toDataURL())[0] ?? null"
    )


def test_it_makes_what_is_chosen_also_by_keyboard(tab: chromium.Tab) -> None:
    first = image(tab, "Counterfactual")
    tab.run(f"document.querySelector('{part('scanner')} button[value=C]').focus()")
    tab.press(" ", "Space")
    assert image(tab, "Counterfactual") != first
    assert "asked for C, F" in tab.text(SAYS)
    assert image(tab, "Truth")


def test_between_two_scanners_there_is_no_truth(tab: chromium.Tab) -> None:
    whole = image(tab, "Counterfactual")
    tab.set(part("way-scanner"), 0.5)
    assert image(tab, "Counterfactual") != whole
    assert "no intervention on a scanner" in tab.text(SAYS)
    assert image(tab, "Truth") is None
    tab.set(part("way-scanner"), 0)
    assert "nothing changed" in tab.text(SAYS)
    tab.set(part("way-scanner"), 1)
    assert image(tab, "Counterfactual") == whole


@pytest.mark.parametrize(("knob", "value"), [("grain", 0), ("temperature", 0.7), ("kept", 0.3)])
def test_knobs_move_the_image_and_go_back(tab: chromium.Tab, knob: str, value: float) -> None:
    before = image(tab, "Counterfactual")
    tab.set(part(knob), value)
    assert image(tab, "Counterfactual") != before
    tab.click_on("Back")
    assert image(tab, "Counterfactual") == before


def test_one_patient_takes_the_parents_of_another(tab: chromium.Tab) -> None:
    real = image(tab, "Real")
    tab.set(part("parents"), "1")
    assert "asked for B, M" in tab.text(SAYS)
    assert image(tab, "Real") == real
    assert image(tab, "The other patient")


def test_an_opacity_is_painted_by_keyboard_and_carried_along(tab: chromium.Tab) -> None:
    real, before = image(tab, "Real"), image(tab, "Counterfactual")
    tab.click(part("paint"))
    tab.run("document.querySelector('.ccl-explorer canvas[tabindex=\"0\"]').focus()")
    tab.press("ArrowLeft", "ArrowLeft")
    assert image(tab, "Real") == real
    tab.press(" ", "Space")
    assert image(tab, "Real") != real
    assert image(tab, "Counterfactual") != before
    assert image(tab, "Truth") is None
    tab.click_on("Take it back")
    assert image(tab, "Real") == real
    assert image(tab, "Counterfactual") == before


def test_a_dropped_image_becomes_the_patient(tab: chromium.Tab) -> None:
    before = image(tab, "Counterfactual")
    drop = (
        "new Promise(done => { const c = document.createElement('canvas'); "
        "c.width = 90; c.height = 60; "
        "const pen = c.getContext('2d'); pen.fillStyle = 'white'; pen.fillRect(20, 10, 40, 40);"
        "c.toBlob(blob => { const data = new DataTransfer();"
        "data.items.add(new File([blob], 'mine.TYPE', { type: 'image/TYPE' }));"
        "document.querySelector('.ccl-explorer').dispatchEvent("
        "new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));"
        "setTimeout(done, 600); }, 'image/png'); })"
    )
    tab.run(drop.replace("TYPE", "gif"))
    assert "mine.gif could not be read" in tab.text(SAYS)
    tab.run(drop.replace("TYPE", "png"))
    assert tab.text(SAYS).startswith("Your image")
    assert image(tab, "Counterfactual") != before
    assert tab.errors == []
    assert [url for url in tab.requests if url.startswith("http")] == []


def test_every_control_has_a_name(tab: chromium.Tab) -> None:
    nameless = tab.run(
        "[...document.querySelectorAll('.ccl-explorer :is(input, select, button)')].filter(e =>"
        "!(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length))"
        ".map(e => e.outerHTML)"
    )
    assert nameless == []
    assert tab.run(f"document.querySelectorAll('{SHOWN}[role=img][aria-label]').length") >= 5
