"""A Sphinx extension: pages name the card that is shown where their address is shared.

Whoever shows it needs its whole address. That of the book is `html: baseurl` in `_config.yml`, or
what the variable CCL_BOOK_URL says; without one no card is named: this book does not know where it
is kept.
"""

import os
from html import escape
from typing import Any

from sphinx.application import Sphinx

CARD = "_static/card.png"


def read_address(app: Any, config: Any) -> None:
    """Takes the address of the variable, where it is set.

    Raises:
        ValueError: it is no address of the web.
    """
    config.html_baseurl = os.environ.get("CCL_BOOK_URL") or config.html_baseurl
    if config.html_baseurl and not config.html_baseurl.startswith(("https://", "http://")):
        raise ValueError(
            f"address of the book '{config.html_baseurl}': expected one such as "
            "https://somebody.github.io/ccl (CCL_BOOK_URL, or `html: baseurl` in _config.yml)"
        )


def name_card(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Adds the card to what a page says of itself."""
    base = app.config.html_baseurl
    if base:
        address = escape(f"{base.rstrip('/')}/{CARD}")
        context["metatags"] = context.get("metatags", "") + (
            f'<meta property="og:image" content="{address}" />'
            '<meta name="twitter:card" content="summary_large_image" />'
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("config-inited", read_address)
    app.connect("html-page-context", name_card)
    return {"parallel_read_safe": True}
