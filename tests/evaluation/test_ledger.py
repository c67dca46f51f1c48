"""The ledger of the book, and what a faulty one is told."""

import json
import re
from pathlib import Path

import pytest
import yaml

from companion.claims import ledger

ROOT = Path(__file__).parents[2]


def test_the_book_has_the_papers_fourteen_claims() -> None:
    book = ledger.load()
    assert [claim.id for claim in book.claims] == [f"C{i}" for i in range(1, 15)]
    kinds = {test.kind for claim in book.claims for test in claim.tests}
    assert kinds == {"gain", "difference", "quality", "separability", "cost"}


def test_figures_and_notebooks_that_show_claims_exist() -> None:
    for claim in ledger.load().claims:
        if claim.notebook is not None:
            cells = json.loads((ROOT / "notebooks" / f"{claim.notebook}.ipynb").read_text())
            names = re.findall(r'"name": "(fig-[a-z-]+)"', json.dumps(cells))
            assert claim.figure in names, claim.id


def test_some_claims_can_be_asked_for() -> None:
    assert [c.id for c in ledger.load().subset(["C8", "C2"]).claims] == ["C2", "C8"]
    assert len(ledger.load().subset([]).claims) == 14
    with pytest.raises(ValueError, match=r"claims \['C15'\] are not in the ledger; it has \['C1'"):
        ledger.load().subset(["C2", "C15"])


def test_every_test_says_in_words_what_it_measures() -> None:
    words = [test.label() for claim in ledger.load().claims for test in claim.tests]
    assert len(set(words)) == len(words)
    assert "CF-SimCLR minus SimCLR, linear, held-out scanners" in words
    assert "CF-DINO minus DINO, linear, chexpert, 25 %, 100 % of the labels" in words
    gain = "CF-SimCLR minus SimCLR, linear"
    assert f"{gain}: gain with rarest scanner minus gain with commonest scanner" in words
    assert f"{gain}, all scanners: gain with fewest labels minus gain with most labels" in words


def written(tmp_path: Path, **test: object) -> Path:
    """A ledger of one claim with one test, changed as told."""
    encoders = {
        name: {"objective": "simclr", "strategy": strategy}
        for name, strategy in (("SimCLR", "standard"), ("CF-SimCLR", "counterfactual"))
    }
    asked = {"kind": "gain", "first": "CF-SimCLR", "second": "SimCLR"} | test
    claim = {"id": "C2", "statement": "it gains", "where": "Fig. 3", "tests": [asked]}
    path = tmp_path / "claims.yml"
    path.write_text(yaml.safe_dump({"encoders": encoders, "claims": [claim]}))
    return path


GAIN = {"first": "CF-SimCLR", "second": "SimCLR"}


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ({"second": "SimCRL"}, "claim C2: encoder 'SimCRL' is not one of"),
        ({"second": "CF-SimCLR"}, "the gain of 'CF-SimCLR' over itself is an empty contrast"),
        ({"fractions": []}, "fractions are empty"),
        ({"fractions": [0.1, 2]}, "less than or equal to 1"),
        ({"direction": "up"}, "'above', 'below', 'not below' or 'equal'"),
        ({"direction": "equal"}, "'equal' need one above 0"),
        ({"margin": -0.1}, "margin -0.1 with direction 'above'"),
        ({"bar": 0.1}, "C2.tests.0.gain.bar: Extra inputs are not permitted"),
        ({"test_cohort": "chexpert"}, "goes with 'domains: held-out'"),
    ],
)
def test_a_faulty_test_is_named(tmp_path: Path, test, message: str) -> None:
    path = written(tmp_path, **test)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        ledger.load(path)
    assert str(error.value).startswith(f"{path}:")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id: C2", "id: two", "claims.two.id: String should match"),
        ("statement: it gains", "statement: ''", "claims.C2.statement"),
        (
            "strategy: standard",
            "strategy: norm",
            "encoders.SimCLR.strategy: Value error, strategy 'norm'",
        ),
        ("claims:", "claims: {", "not YAML"),
    ],
)
def test_a_faulty_ledger_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = written(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=re.escape(message)):
        ledger.load(path)


def test_a_claim_twice_is_refused(tmp_path: Path) -> None:
    content = yaml.safe_load(written(tmp_path).read_text())
    content["claims"] *= 2
    (tmp_path / "claims.yml").write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match="claim C2 is listed 2 times"):
        ledger.load(tmp_path / "claims.yml")


@pytest.mark.parametrize(
    ("kind", "test", "message"),
    [
        (ledger.DifferenceTest, {"of": GAIN, "minus": GAIN}, "the same gain: an empty contrast"),
        (
            ledger.DifferenceTest,
            {"of": GAIN, "minus": GAIN | {"fractions": "each"}},
            "are all, smallest or largest",
        ),
        (ledger.SeparabilityTest, {"measure": "x", "first": "A", "second": "A"}, "empty contrast"),
    ],
)
def test_empty_contrasts_are_refused(kind, test, message: str) -> None:
    name = kind.__name__.removesuffix("Test").lower()
    with pytest.raises(ValueError, match=message):
        kind.model_validate({"kind": name} | test)
