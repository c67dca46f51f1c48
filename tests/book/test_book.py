"""The book's sources: complete and offline."""

import re
from pathlib import Path

import pytest
import yaml

from companion.book.building import pages_of

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
PROSE = sorted(BOOK.glob("*.md"))
VENDORED = sorted(path for path in (BOOK / "_vendor").rglob("*") if path.is_file())


def test_every_page_and_notebook_is_in_the_table_of_contents() -> None:
    listed = set(pages_of(yaml.safe_load((ROOT / "_toc.yml").read_text())))
    prose = {*PROSE, *(BOOK / "api").glob("*.md")}
    assert {f"{path.relative_to(ROOT).with_suffix('')}" for path in prose} <= listed
    stored = [*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "lectures").glob("*.ipynb")]
    assert {f"book/executed/{path.stem}" for path in stored} <= listed


def test_cohorts_with_encoders_show_every_page_that_verdicts_point_to() -> None:
    listed = set(pages_of(yaml.safe_load((ROOT / "_toc.yml").read_text())))
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
