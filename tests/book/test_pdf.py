"""The PDF: what is said where it cannot be made, and that Chromium prints a page with bookmarks."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from companion import cli
from companion.book import building, pdf


def test_without_chromium_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CHROMIUM", raising=False)
    answer = CliRunner().invoke(cli.app, ["pdf"])
    assert answer.exit_code == 1
    assert "apt install chromium" in answer.output


def test_another_chromium_is_taken_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "my-chrome"
    monkeypatch.setenv("CHROMIUM", str(mine))
    with pytest.raises(FileNotFoundError, match="my-chrome"):
        pdf.find_chromium()
    mine.touch(mode=0o755)
    assert pdf.find_chromium() == str(mine)


def test_without_a_book_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "find_chromium", lambda: "chromium")
    with pytest.raises(FileNotFoundError, match="make book"):
        pdf.make(tmp_path)


def test_cohorts_of_an_earlier_book_are_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed, shown = tmp_path / building.EXECUTED, []
    monkeypatch.setattr(pdf, "find_chromium", lambda: "chromium")
    monkeypatch.setattr(building, "build", lambda beside, *_: shown.extend(beside))
    building.replace_pages(executed, {"a.md": "a", "early/b.md": "b", "both/c.md": "c"})
    building.replace_pages(executed, {"a.md": "new", "both/c.md": "c"})
    with pytest.raises(FileNotFoundError):  # nothing was really built
        pdf.make(tmp_path)
    assert shown == ["both"]
    assert (executed / "a.md").read_text() == "new"


def test_what_chromium_says_is_passed_on(tmp_path: Path) -> None:
    failing = tmp_path / "chromium"
    failing.write_text("#!/bin/sh\necho 'no display' >&2\n")
    failing.chmod(0o755)
    with pytest.raises(ValueError, match="no display"):
        pdf.print_page(str(failing), tmp_path / "page.html", tmp_path / "page.pdf")


@pytest.mark.browser
def test_a_printed_page_has_bookmarks_and_what_scripts_drew(
    browser: object, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    late = "setTimeout(() => document.body.append(document.createElement('hr')), 2000)"
    page.write_text(
        "<style>hr { break-before: page; height: 9cm }</style><h1>One</h1><h2>Two</h2>"
        f"<script>{late}</script>"
    )
    printed = pdf.print_page(pdf.find_chromium(), page, tmp_path / "page.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert b"/Outlines" in printed
    assert b"/Count 2" in printed  # the second page is what the script drew
