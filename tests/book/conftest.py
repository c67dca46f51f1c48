"""One headless Chromium for all tests that look at a page, and a small cohort."""

from collections.abc import Callable, Iterator

import pytest

from companion.book import pdf
from companion.cohorts.cohort import Cohort
from companion.cohorts.registry import build
from companion.cohorts.simulation.phantom_breast import PhantomBreastOptions
from tests.book import chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[chromium.Tab]:
    try:
        pdf.find_chromium()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
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


@pytest.fixture(scope="session")
def women(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """A cohort of one sex, whose frames are not square."""
    shares = {"Fjord": 0.5, "Iris": 0.5}
    size = {"height": 32, "width": 28, "n_train": 60, "n_val": 20, "n_test_per_scanner": 8}
    options = PhantomBreastOptions(shares=shares, **size)
    return build(options, None, tmp_path_factory.mktemp("women") / "cohort")
