"""The forest plot: effects are where the axis says, their numbers one hover or one key away."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from companion.book.forest import Effect, forest_html
from tests.book import chromium
from tests.book.test_widgets import HOSTILE, Tags

ROWS = [
    ("C2  a gain", [Effect("build", 0.04, 0.0, 0.08, "supported"), Effect("paper", 0.02)]),
    ("C3  a loss", [Effect("record", -0.02, -0.03, -0.01, "contradicted")]),
]
STYLE = Path(__file__).parents[2] / "book" / "style" / "book.css"


def test_effects_lie_on_one_scale() -> None:
    page = forest_html(ROWS)
    zeros = set(re.findall(r'ccl-zero" style="left:([\d.]+)%', page))
    assert len(zeros) == 1
    dots = [float(left) for left in re.findall(r'ccl-dot" style="left:([\d.]+)%', page)]
    zero, per_point = float(zeros.pop()), (dots[0] - dots[1]) / 0.02
    assert dots == pytest.approx([zero + per_point * at for at in (0.04, 0.02, -0.02)], abs=0.02)
    (left, width), *_ = re.findall(r'ccl-range" style="left:([\d.]+)%;width:([\d.]+)%', page)
    assert float(left) == pytest.approx(zero, abs=0.02)
    assert float(width) == pytest.approx(0.08 * per_point, abs=0.03)


def test_a_name_cannot_leave_its_place() -> None:
    hostile = forest_html([(HOSTILE, ROWS[0][1]), ROWS[1]])
    assert [tag for tag, _ in Tags(hostile).tags] == [
        tag for tag, _ in Tags(forest_html(ROWS)).tags
    ]
    assert forest_html([]) == ""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Tab]:
    if chromium.executable() is None:
        pytest.skip(f"no Chromium is installed under the names {chromium.NAMES}")
    path = tmp_path_factory.mktemp("page") / "forest.html"
    path.write_text(
        f"<!doctype html><html lang='en'><style>{STYLE.read_text()}</style>{forest_html(ROWS)}"
    )
    with chromium.tab() as opened:
        opened.open(path.as_uri())
        yield opened


def said(tab: chromium.Tab, row: int) -> bool:
    """Whether the numbers of a row are seen."""
    width = f"document.querySelectorAll('.ccl-said')[{row}].getBoundingClientRect().width"
    return tab.run(width) > 100


@pytest.mark.browser
def test_numbers_show_under_a_pointer_and_by_keyboard(tab: chromium.Tab) -> None:
    assert not said(tab, 0)
    box = tab.run(
        "(b => [b.left + 50, b.top + 10])"
        "(document.querySelector('.ccl-forest ol > li').getBoundingClientRect())"
    )
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
    assert (said(tab, 0), said(tab, 1)) == (True, False)
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=800)
    for _ in ROWS:
        for kind in ("keyDown", "keyUp"):
            tab.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab")
    assert (said(tab, 0), said(tab, 1)) == (False, True)
