"""The forest plot: effects are where the axis says, their numbers one hover or one key away."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from companion.book.forest import Effect, forest_html
from tests.book import chromium

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
    assert forest_html([]) == ""


@pytest.mark.browser
def test_numbers_show_under_a_pointer_and_by_keyboard(show: Callable[[str], chromium.Tab]) -> None:
    tab = show(f"<style>{STYLE.read_text()}</style>{forest_html(ROWS)}")

    def seen() -> list[bool]:
        """Of which rows the numbers are seen."""
        boxes = "[...document.querySelectorAll('.ccl-said')].map(e => e.getBoundingClientRect())"
        return tab.run(f"{boxes}.map(box => box.width > 100)")

    assert seen() == [False, False]
    box = tab.run(
        "(b => [b.left + 50, b.top + 10])"
        "(document.querySelector('.ccl-forest ol > li').getBoundingClientRect())"
    )
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
    assert seen() == [True, False]
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=800)
    for _ in ROWS:
        tab.press("Tab", "Tab")
    assert seen() == [False, True]
