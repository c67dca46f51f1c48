"""A page as slides, by keys and by buttons; tables of prose as lists on a phone."""

from pathlib import Path

import pytest

from tests.book import chromium

STYLE = Path(__file__).parents[2] / "book" / "style"
BLOCKS = "document.querySelectorAll('[data-block]')"
SHOWN = f"[...{BLOCKS}].filter(b => b.offsetHeight).map(b => b.dataset.block).join(' ')"
NUMBER = "document.querySelector('.ccl-slide-controls output')?.textContent"


def block(tag: str, name: str, height: int) -> str:
    return f'<{tag} data-block="{name}" style="height: {height}px; margin: 0">{name}</{tag}>'


LECTURE = (
    f"<section>{block('h1', 'title', 50)}{block('p', 'start', 100)}"
    f"<section>{block('h2', 'step', 50)}{block('p', 'tall', 900)}{block('p', 'rest', 60)}"
    f"{block('p', 'end', 60)}</section></section>"
)
TABLE = (
    '<section><table class="table"><thead><tr><th>What</th><th>Here</th><th>Why</th></tr></thead>'
    "<tbody><tr><td>Name</td><td><code><span class='pre'>a.long_name = 0.5</span></code></td>"
    f"<td>{'because ' * 12}</td></tr></tbody></table>"
    "</section>"
)


def page(tmp_path: Path, body: str, script: str) -> str:
    file = tmp_path / "page.html"
    file.write_text(
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<style>{(STYLE / 'book.css').read_text()}</style>"
        f"<script>{(STYLE / script).read_text()}</script>"
        f"<body><article class='bd-article'>{body}</article></body></html>"
    )
    return file.as_uri()


def press(tab: chromium.Tab, key: str) -> str:
    event = f"new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}})"
    tab.run(f"document.body.dispatchEvent({event})")
    return tab.run(SHOWN)


def test_a_lecture_is_shown_slide_by_slide(browser: chromium.Tab, tmp_path: Path) -> None:
    browser.open(f"{page(tmp_path, LECTURE, 'slides.js')}?slides", height=600)
    assert browser.run(SHOWN) == "title start"
    assert press(browser, "ArrowLeft") == "title start"
    assert press(browser, "ArrowRight") == "step tall"  # no heading stands alone
    assert press(browser, " ") == "rest end"
    assert press(browser, "PageDown") == "rest end"
    assert browser.run(NUMBER) == "3 / 3"
    browser.run("document.querySelector('[title=\"Slide before\"]').click()")
    assert browser.run(SHOWN) == "step tall"
    assert press(browser, "Home") == "title start"
    press(browser, "Escape")
    browser.wait("location.search === '' && document.readyState === 'complete'")
    assert browser.run(SHOWN) == "title start step tall rest end"


def test_a_page_is_no_slides_unless_asked(browser: chromium.Tab, tmp_path: Path) -> None:
    browser.open(page(tmp_path, LECTURE, "slides.js"))
    assert browser.run(SHOWN) == "title start step tall rest end"
    assert browser.run(NUMBER) is None


@pytest.mark.parametrize(("width", "listed"), [(390, True), (1000, False)])
def test_a_table_of_prose_is_a_list_on_a_phone(
    browser: chromium.Tab, tmp_path: Path, width: int, listed: bool
) -> None:
    browser.open(page(tmp_path, TABLE, "tables.js"), width=width)
    cells = "[...document.querySelectorAll('td')]"
    named = browser.run(f"getComputedStyle({cells}[2], '::before').content")
    assert named == ('"Why"' if listed else "none")
    lefts = browser.run(f"{cells}.map(cell => cell.getBoundingClientRect().left)")
    assert (len(set(lefts)) == 1) is listed
    parts = "[...document.querySelector('.pre').childNodes].map(n => n.textContent).filter(t => t)"
    assert browser.run(parts) == ["a.", "long_", "name = 0.5"]  # may break between these
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
