"""Built pages, finished: without scripts that they load for nothing, and with dark figures.

3.6 MB of scripts less on the landing page: MathJax stands on every page above one with equations,
and the theme's icons come as a font that its style loads, and once more as a script of 1.5 MB.
"""

import re
from pathlib import Path

from companion.book.figures.colours import darkened

EQUATION = 'class="math'
_MATHJAX = re.compile(r"<script[^>]*/mathjax/[^>]*></script>\n?")
_ICONS = re.compile(r"<(?:script|link)[^>]*/scripts/fontawesome\.js[^>]*>(?:</script>)?\n?")
_FIGURE = re.compile(r'<img ([^>]*src="[^"]*/_images/)([^"/]+)\.svg"([^>]*)>')
_PAIR = r'<img class="only-light" \1\2.svg"\3><img class="only-dark" \1\2.dark.svg"\3>'


def finish(html: Path) -> None:
    """Rewrites the pages of a folder; those that Sphinx had no need to write anew stay."""
    for drawing in (html / "_images").glob("*.svg"):
        if not drawing.name.endswith(".dark.svg"):
            copy = drawing.with_suffix(".dark.svg")
            copy.write_text(darkened(drawing.read_text(encoding="utf-8")), encoding="utf-8")
    for file in html.rglob("*.html"):
        page = file.read_text(encoding="utf-8")
        finished = _finished(page)
        if finished != page:
            file.write_text(finished, encoding="utf-8")


def _finished(page: str) -> str:
    page = _ICONS.sub("", page)
    if EQUATION not in page:
        page = _MATHJAX.sub("", page)
    return page if 'class="only-dark"' in page else _FIGURE.sub(_PAIR, page)
