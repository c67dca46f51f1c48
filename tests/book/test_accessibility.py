"""axe-core finds nothing serious on any page of the built book, light or dark.

Needs `make book` before, an installed Chromium, and npm, which fetches axe-core into a folder of
the test alone; it is no part of the book.
"""

import shutil
import subprocess
import tarfile

import pytest

from tests.book import chromium
from tests.book.test_browser import PAGES, address, in_ci, slow

VERSION = "4.10.3"
# Except in what docutils makes of a bibliography: a list whose entries have a role of their own.
VIOLATIONS = """axe.run({exclude: [".citation-list"]}).then(found => found.violations
  .filter(each => ["serious", "critical"].includes(each.impact))
  .map(each => [each.id, ...each.nodes.slice(0, 3).map(node => node.target.join(" "))]))"""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core."""
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("axe")
    if npm is None:
        pytest.skip("npm is not installed, which fetches axe-core")
    done = subprocess.run([npm, "pack", f"axe-core@{VERSION}"], cwd=folder, capture_output=True)
    if done.returncode:
        pytest.skip("npm could not fetch axe-core")
    with tarfile.open(folder / f"axe-core-{VERSION}.tgz") as packed:
        script = packed.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


@pytest.mark.parametrize(
    ("page", "dark"),
    [
        pytest.param(page, dark, marks=() if in_ci(page) and not dark else slow)
        for page in PAGES
        for dark in (False, True)
    ],
)
def test_nothing_serious_is_found(browser: chromium.Tab, axe: str, page: str, dark: bool) -> None:
    browser.open(address(page), dark=dark)
    browser.run(
        "document.querySelectorAll('.ccl-widget details').forEach(each => each.open = true)"
    )
    browser.run(f"{axe}; true")
    assert browser.run(VIOLATIONS) == []


def test_this_suite_sees_a_violation(browser: chromium.Tab, axe: str) -> None:
    browser.open("data:text/html,<html lang=en><title>t</title><img src='data:,'><button></button>")
    browser.run(f"{axe}; true")
    assert {each[0] for each in browser.run(VIOLATIONS)} >= {"image-alt", "button-name"}
