"""Dark copies of the figures in built pages, which show the one or the other."""

import re
from pathlib import Path

from companion.book.figures.colours import darkened

_FIGURE = re.compile(r'<img ([^>]*src="[^"]*/_images/)([^"/]+)\.svg"([^>]*)>')
_PAIR = (
    r'<img class="only-light" \1\2.svg"\3>'
    r'<img class="only-dark" \1\2.dark.svg"\3>'
)


def add_dark_figures(html: Path) -> None:
    """Makes a dark copy of each drawing in a folder of pages, and puts it beside the light one."""
    for drawing in (html / "_images").glob("*.svg"):
        if not drawing.name.endswith(".dark.svg"):
            copy = drawing.with_suffix(".dark.svg")
            copy.write_text(darkened(drawing.read_text(encoding="utf-8")), encoding="utf-8")
    for file in html.rglob("*.html"):
        page = file.read_text(encoding="utf-8")
        paired = page if 'class="only-dark"' in page else _FIGURE.sub(_PAIR, page)
        if paired != page:
            file.write_text(paired, encoding="utf-8")
