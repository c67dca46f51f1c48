"""One headless Chromium for all tests that look at a page."""

from collections.abc import Callable, Iterator

import pytest

from tests.book import chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[chromium.Tab]:
    if chromium.executable() is None:
        pytest.skip(f"no Chromium is installed under the names {chromium.NAMES}")
    with chromium.tab() as opened:
        yield opened


@pytest.fixture(scope="session")
def show(
    browser: chromium.Tab, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], chromium.Tab]:
    """Opens a page of its own with some HTML, which must ask for nothing and fail nowhere."""

    def opened(body: str) -> chromium.Tab:
        path = tmp_path_factory.mktemp("page") / "page.html"
        path.write_text(f"<!doctype html><html lang='en'><meta charset='utf-8'><body>{body}")
        browser.open(path.as_uri())
        assert browser.errors == []
        assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []
        return browser

    return opened
