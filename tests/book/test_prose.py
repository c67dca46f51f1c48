"""No result is typed into prose: numbers come from a run, or stand beside their citation."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    file
    for pattern in ("book/*.md", "notebooks/*.ipynb", "lectures/*.ipynb")
    for file in ROOT.glob(pattern)
)

# 0.87, +.021, 95 % or 12 percent; closed forms and settings stand in $...$ or `...`.
NUMBER = re.compile(r"(?<![\w.$])[+-]?(\d?\.\d{2,}|0\.\d+)|\b\d+(\.\d+)? ?(%|per ?cent)")

# Numbers that are no results: hyperparameters, the level of intervals, and figures of publications
# whose citation stands elsewhere on the page.
ALLOWED = {
    "contrastive.md": {"the usual 0.1 and"},
    "generator.ipynb": {"Whiskers: 95 % intervals."},
}


def prose_of(path: Path) -> Iterator[str]:
    """A page's text; of a notebook its words, captions and alternative texts."""
    if path.suffix == ".md":
        yield path.read_text()
        return
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "markdown":
            yield "".join(cell["source"])
        shown = cell["metadata"].get("mystnb", {})
        yield shown.get("figure", {}).get("caption", "")
        yield shown.get("image", {}).get("alt", "")


def without_code(text: str) -> str:
    """Prose only: no fenced code or directives, formulas or inline code."""
    text = re.sub(r"^```(?!\{glossary\}).*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"\$\$.*?\$\$|\$[^$]*\$", "", text, flags=re.DOTALL)
    return re.sub(r"`[^`]*`", "", text)


def typed(text: str) -> list[str]:
    """The paragraphs of a text that hold a number and cite nothing."""
    cited = re.sub(r"\{cite\}`[^`]*`", "CITED", text)
    paragraphs = re.split(r"\n\s*\n|\n- ", without_code(cited))
    return [each for each in paragraphs if "CITED" not in each and NUMBER.search(each)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_result_is_typed(path: Path) -> None:
    for text in prose_of(path):
        for phrase in ALLOWED.get(path.name, ()):
            text = text.replace(phrase, "")
        assert not typed(text)


def test_the_allow_list_is_needed() -> None:
    """An entry that no longer stands in its page, or allows nothing, is to be removed."""
    for name, phrases in ALLOWED.items():
        page = next(path for path in SOURCES if path.name == name)
        for phrase in phrases:
            assert phrase in "\n".join(prose_of(page)), (name, phrase)
            assert typed(phrase), (name, phrase)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        *((text, True) for text in ("an AUC of 0.873", "a gain of +.021", "in 95 % of images")),
        *((text, False) for text in ("at 64 pixels", "section 4.1", "`tau=0.07`", "Fig. 3")),
    ],
)
def test_a_typed_result_would_be_found(text: str, result: bool, tmp_path: Path) -> None:
    assert not typed(f"{text} {{cite}}`roschewitz2025robust`")
    figure = {"mystnb": {"figure": {"caption": text}, "image": {"alt": text}}}
    cells = [
        {"cell_type": "code", "source": ["x = 0.5"], "metadata": figure},
        {"cell_type": "markdown", "source": f"First.\n\n- {text}\n\nLast.", "metadata": {}},
    ]
    path = tmp_path / "made-up.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    found = [bool(typed(each)) for each in prose_of(path) if each]
    assert found == [result] * 3  # caption, alternative text, words
