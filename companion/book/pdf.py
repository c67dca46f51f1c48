"""The book as a PDF: Jupyter Book makes one page of all, which Chromium prints.

Jupyter Book's own `pdfhtml` does the same with a browser that its dependency downloads; here it is
the system's, and the PDF has bookmarks. How paper differs from the screen: `book/style/print.css`.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from companion import ROOT
from companion.book import building

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PDF = building.BUILD / "book.pdf"
_PAGES = building.BUILD / "singlehtml"
_LONGEST = 600  # seconds


def make(root: Path = ROOT) -> Path:
    """The PDF of the book that was built last, made from its pages.

    Raises:
        FileNotFoundError: there is no Chromium, or no book was built.
        ValueError: Jupyter Book warned, or Chromium failed.
    """
    chromium = find_chromium()
    executed = root / building.EXECUTED
    if not executed.is_dir():
        raise FileNotFoundError("there is no book to print: run `make book` first")
    beside = [folder.name for folder in executed.iterdir() if folder.is_dir()]
    building.build(beside, root, "singlehtml")
    # Sphinx puts the page where the first chapter was, with links as seen from above.
    page = root / _PAGES / "index.html"
    (root / _PAGES / "book" / "index.html").replace(page)
    return print_page(chromium, page, root / PDF)


def find_chromium() -> str:
    """Path of an installed Chromium or Chrome; the variable CHROMIUM names another.

    Raises:
        FileNotFoundError: there is none.
    """
    asked = os.environ.get("CHROMIUM")
    found = [path for path in map(shutil.which, (asked,) if asked else NAMES) if path]
    if not found:
        raise FileNotFoundError(
            f"no Chromium found ({asked or ', '.join(NAMES)}): a PDF is printed by it. Install it "
            "(Debian: `apt install chromium`), or give its path: CHROMIUM=/path make pdf"
        )
    return found[0]


def print_page(chromium: str, page: Path, pdf: Path) -> Path:
    """Prints an HTML file, once its scripts are done, with bookmarks.

    Raises:
        ValueError: Chromium failed; with the end of what it said.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [
            *(chromium, "--headless=new", "--disable-gpu", "--disable-dev-shm-usage"),
            *(["--no-sandbox"] if os.geteuid() == 0 else []),  # which root cannot have
            f"--user-data-dir={folder}",
            # Time passes only while nothing is computed, so that equations and widgets are drawn.
            "--virtual-time-budget=20000",
            *("--no-pdf-header-footer", "--generate-pdf-document-outline"),
            *(f"--print-to-pdf={pdf}", page.as_uri()),
        ]
        pdf.unlink(missing_ok=True)
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST)
    if not pdf.is_file():
        raise ValueError(f"Chromium printed nothing: {done.stderr.strip()[-500:]}")
    return pdf
