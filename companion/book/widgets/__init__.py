"""Widgets: HTML with its own data, style and script, which loads nothing and needs no kernel."""

import base64
from pathlib import Path
from typing import Any, NamedTuple

from companion.book.templates import render

FOLDER = Path(__file__).parent


class Widget(NamedTuple):
    """What is said of a widget, and what its script needs before it.

    Attributes:
        label: for those who do not see it.
        needs: scripts of this folder, in order.
    """

    label: str
    needs: tuple[str, ...]


# By the names of their scripts: `pair_maker.js` defines `renderPairMaker({ model, el })`.
WIDGETS = {
    "curves": Widget("Curves of results", ("elements", "svg", "chart")),
    "explorer": Widget(
        "Counterfactual explorer",
        ("network", "draws", "hvae", "elements", "images", "painting", "own_images"),
    ),
    "hero_picture": Widget("A radiograph on another scanner", ("elements", "images")),
    "pair_maker": Widget("Pair maker", ("elements", "images", "draws")),
    "projection": Widget("Maps of test images", ("elements", "svg")),
}


def script(name: str) -> str:
    """All that a widget runs."""
    files = [FOLDER / f"{each}.js" for each in (*WIDGETS[name].needs, name)]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def style(name: str) -> str:
    """How a widget looks."""
    files = [FOLDER / f"{each}.css" for each in ("widget", name)]
    return "".join(file.read_text(encoding="utf-8") for file in files if file.is_file())


def render_function(name: str) -> str:
    """The function of its script that fills an element."""
    return "render" + name.title().replace("_", "")


def widget_html(name: str, data: Any, weights: bytes = b"") -> str:
    """A widget as an HTML fragment; several may stand on one page.

    Args:
        name: in `WIDGETS`.
        data: what its script reads.
        weights: of a network, likewise.
    """
    return render(
        "widget.html",
        name=name.replace("_", "-"),
        label=WIDGETS[name].label,
        style=style(name),
        script=script(name),
        render=render_function(name),
        data=data,
        weights=base64.b64encode(weights).decode("ascii"),
    )
