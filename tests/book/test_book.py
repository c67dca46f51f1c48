"""The book's sources: complete and offline."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from companion.book import illustrations, landing
from companion.book.building import moved
from companion.experiments import plan

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
PROSE = sorted(BOOK.glob("*.md"))
VENDORED = sorted(path for path in (BOOK / "_vendor").rglob("*") if path.is_file())
GENERATED = {"status"}  # pages that `companion.book.report` writes
# What it, `landing` and `illustrations` write for other pages.
PARTS = ("claims", "gpu", *landing.PARTS, *illustrations.PARTS)
INCLUDED = {f"executed/{name}.md" for name in PARTS}
prose = pytest.mark.parametrize("path", PROSE, ids=lambda path: path.stem)


def pages(contents: Any) -> Iterator[str]:
    """Every page of a table of contents."""
    if isinstance(contents, list):
        for entry in contents:
            yield from pages(entry)
    elif isinstance(contents, dict):
        for key, value in contents.items():
            yield from [value] if key in ("root", "file") else pages(value)


def test_every_page_has_a_source() -> None:
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    for page in pages(contents):
        if page.startswith("book/executed/"):
            name = page.rpartition("/")[2]
            stored = (ROOT / folder / f"{name}.ipynb" for folder in ("notebooks", "lectures"))
            assert name in GENERATED or any(file.is_file() for file in stored), page
        else:
            assert (ROOT / f"{page}.md").is_file(), page


def test_every_page_and_notebook_is_in_the_table_of_contents() -> None:
    listed = set(pages(yaml.safe_load((ROOT / "_toc.yml").read_text())))
    assert {f"book/{path.stem}" for path in PROSE} <= listed
    stored = [*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "lectures").glob("*.ipynb")]
    assert {f"book/executed/{path.stem}" for path in stored} <= listed


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        *((name, "") for name in (*plan.NOTEBOOKS, *plan.LECTURES)),
        *((name, "phantom-breast") for name in plan.NOTEBOOKS),
    ],
)
def test_links_of_notebooks_lead_to_pages_of_the_book(name: str, beside: str) -> None:
    listed = {*pages(yaml.safe_load((ROOT / "_toc.yml").read_text())), "book/index"}
    file = ROOT / "notebooks" / f"{name}.ipynb"
    written = json.loads(moved(file, beside) if beside else file.read_text())
    text = "".join("".join(cell["source"]) for cell in written["cells"])
    for link in re.findall(r"\]\(([./a-z-]+)\)", text):
        assert os.path.normpath(f"book/executed/{beside}/{link}") in listed, link


def test_cohorts_with_encoders_show_every_page_that_verdicts_point_to() -> None:
    listed = set(pages(yaml.safe_load((ROOT / "_toc.yml").read_text())))
    pointed_to = {"generator", "pretraining", "probing", "projections", "subgroups"}
    claims = yaml.safe_load((ROOT / "book/claims.yml").read_text())["claims"]
    # The ablation is of the main cohort only.
    assert {claim["notebook"] for claim in claims if "notebook" in claim} <= pointed_to | {
        "ablation"
    }
    for page in listed:
        folder, _, name = page.rpartition("/")
        if name == "pretraining":
            assert {f"{folder}/{other}" for other in pointed_to} <= listed, folder


@prose
def test_what_a_page_includes_exists(path: Path) -> None:
    text = path.read_text()
    for name, file in re.findall(r"```\{(literalinclude|include)\} (\S+)", text):
        assert (path.parent / file).is_file() or file in INCLUDED, (name, file)
    for file in re.findall(r"^:file: (\S+)", text, re.MULTILINE):
        assert (path.parent / file).is_file()


@prose
def test_included_objects_exist(path: Path) -> None:
    found = re.findall(
        r"\{literalinclude\} (\S+)\n.*?:pyobject: (\S+)", path.read_text(), re.DOTALL
    )
    for file, name in found:
        source = (path.parent / file).read_text()
        for part in name.split("."):
            assert re.search(rf"^\s*(class|def) {part}\b", source, re.MULTILINE), name


@prose
def test_every_citation_is_in_the_bibliography(path: Path) -> None:
    known = set(re.findall(r"^@\w+\{(\S+),", (BOOK / "references.bib").read_text(), re.MULTILINE))
    for keys in re.findall(r"\{cite\}`([^`]*)`", path.read_text()):
        assert set(keys.split(",")) <= known


LECTURES = ["contrastive", "causal", "pairing", "distillation", "evaluation"]


@pytest.mark.parametrize("page", LECTURES)
def test_lectures_have_their_parts(page: str) -> None:
    text = (BOOK / f"{page}.md").read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == ["Overview", "Theory", "Code", "Exercises"]
    assert "**Prerequisites:**" in text
    asked = re.findall(r"^\*\*\d\.\*\*", text, re.MULTILINE)
    assert len(asked) == text.count(":::{dropdown} Solution") >= 3


@pytest.mark.parametrize("path", sorted((BOOK / "widgets").glob("*.html")), ids=lambda p: p.stem)
def test_teaching_widgets_are_small_and_load_nothing(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 120
    assert not re.search(r"https?:|src=|url\(|@import|\bfetch\(|innerHTML", text)
    assert "aria-label" in text
    assert "aria-live" in text


def test_vendored_scripts_are_small_and_licensed() -> None:
    assert {path.name for path in VENDORED} >= {"tex-svg.js", "LICENSE"}
    assert all(path.stat().st_size < 3_000_000 for path in VENDORED)


def test_configuration_loads_nothing_from_elsewhere() -> None:
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    # A fork may say where it is: that is a link, and loads nothing.
    assert not re.search(r"https?:", yaml.safe_dump({**config, "repository": {}}))
    sphinx = config["sphinx"]["config"]
    assert config["execute"]["execute_notebooks"] == "off"
    assert "sphinx_thebe" not in sphinx["extensions"]
    assert sphinx["nb_ipywidgets_js"] == {}
    assert (BOOK / "_vendor" / sphinx["mathjax_path"]).is_file()


def test_citation_file_names_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["preferred-citation"]["doi"] == "10.1016/j.media.2025.103668"


def test_readme_shows_a_picture_that_exists() -> None:
    text = (ROOT / "README.md").read_text()
    for file in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text):
        assert (ROOT / file).is_file()
    assert "make book" in text
