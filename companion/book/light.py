"""What built pages load for nothing is taken out: 3.6 MB of scripts on the landing page.

MathJax stands on every page above one with equations. The theme's icons come as a font that its
style loads, and once more as a script of 1.5 MB that draws them.
"""

import re
from pathlib import Path

EQUATION = 'class="math'
_MATHJAX = re.compile(r"<script[^>]*/mathjax/[^>]*></script>\n?")
_ICONS = re.compile(r"<(?:script|link)[^>]*/scripts/fontawesome\.js[^>]*>(?:</script>)?\n?")


def lighten(html: Path) -> None:
    """Rewrites the pages of a folder without scripts that they have no use for."""
    for file in html.rglob("*.html"):
        page = file.read_text(encoding="utf-8")
        lighter = _ICONS.sub("", page)
        if EQUATION not in page:
            lighter = _MATHJAX.sub("", lighter)
        if lighter != page:
            file.write_text(lighter, encoding="utf-8")
