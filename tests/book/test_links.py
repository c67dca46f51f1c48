"""No link inside the built book is broken, to a page or to a place on it.

Needs `make book` before.
"""

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlparse

import pytest

from tests.book.test_browser import HTML, PAGES

pytestmark = pytest.mark.browser


class Page(HTMLParser):
    """The links of a page, and the places that can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "a" and named.get("href"):
            self.links.add(str(named["href"]))
        self.places |= {str(named[name]) for name in ("id", "name") if named.get(name)}


@cache
def parsed(file: Path) -> Page:
    return Page(file.read_text(encoding="utf-8"))


def broken(file: Path) -> list[str]:
    """Links of a file that lead nowhere."""
    found = []
    for link in parsed(file).links:
        to = urlparse(urljoin(file.as_uri(), link))
        if to.scheme != "file":
            continue
        target = Path(unquote(to.path))
        place = unquote(to.fragment)
        if not target.is_file() or (
            place and target.suffix == ".html" and place not in parsed(target).places
        ):
            found.append(link)
    return sorted(found)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    assert broken(HTML / f"{page}.html") == []


def test_this_suite_sees_a_broken_link(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<h1 id="top"><a href="#top"><a href="#gone"><a href="none.html">')
    assert broken(page) == ["#gone", "none.html"]
