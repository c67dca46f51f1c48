"""The claim ledger: what the paper claims, as typed statements over what an experiment measures.

`book/claims.yml` names encoders and lists claims; each claim holds tests of one of these kinds:

| kind | asks | reads |
|---|---|---|
| gain | ROC-AUC of one encoder minus that of another | results.csv |
| difference | one gain minus another | results.csv |
| quality | a measure of the counterfactuals against a bar | quality.csv |
| separability | how well embeddings tell scanners apart, as a gain | separability.csv |
| cost | seconds of generator and bank over those of one pretraining | run.json, history.csv |

The ledger says only what is asked; `companion.claims.judging` answers.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from ccl.options import Options
from companion import ROOT, strategies
from companion.evaluation.options import Fraction

LEDGER = ROOT / "book" / "claims.yml"

Protocol = Literal["linear", "finetuned"]
OBJECTIVES: tuple[str, ...] = get_args(strategies.Objective)
PROTOCOLS: tuple[str, ...] = get_args(Protocol)
# Besides the ways to make pairs: controls.
STRATEGIES = (*strategies.STRATEGIES, *strategies.CONTROLS)


def _known(strategy: str) -> str:
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy '{strategy}' is unknown; it is one of {STRATEGIES}")
    return strategy


Strategy = Annotated[str, AfterValidator(_known)]

Domains = Literal["all", "in-distribution", "rarest", "commonest", "held-out"]
Fractions = Literal["all", "each", "smallest", "largest"] | tuple[Fraction, ...]
Direction = Literal["above", "below", "not below", "equal"]


class Encoder(Options):
    """An encoder of the ledger: what it was trained by, and on which pairs."""

    objective: strategies.Objective
    strategy: Strategy


class Gain(Options):
    """Mean ROC-AUC gain of one encoder over another, with the same labels on the same images.

    Attributes:
        first, second: names of the ledger's encoders; the gain is first minus second.
        protocol: how they were evaluated.
        subgroup: of the test images; 'weakest' and 'strongest' are the sexes with the lower and
            the higher AUC of `second`.
        domains: test scanners that are averaged; rarest and commonest are counted in the training
            images, held-out are those that neither generator nor encoder saw.
        test_cohort: only this external cohort (among the held-out domains).
        fractions: label fractions that are averaged, of those that both encoders have.
    """

    first: str
    second: str
    protocol: Protocol = "linear"
    subgroup: str = "all"
    domains: Domains = "all"
    test_cohort: str | None = None
    fractions: Fractions = "all"

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if self.first == self.second:
            raise ValueError(f"the gain of '{self.first}' over itself is an empty contrast")
        if self.fractions == ():
            raise ValueError("fractions are empty; name some, or leave them out for all")
        if self.test_cohort is not None and self.domains != "held-out":
            raise ValueError("a test_cohort goes with 'domains: held-out'")
        return self

    def label(self) -> str:
        """What is measured, in a few words."""
        return ", ".join(filter(None, self.facets()))

    def facets(self) -> tuple[str, str, str, str, str]:
        """Encoders, protocol, test images, subgroup and labels in words; '' where it is all."""
        where = {
            "all": "all scanners",
            "in-distribution": "pretraining scanners",
            "rarest": "rarest scanner",
            "commonest": "commonest scanner",
            "held-out": self.test_cohort or "held-out scanners",
        }[self.domains]
        if isinstance(self.fractions, tuple):
            labels = ", ".join(f"{100 * share:g} %" for share in self.fractions) + " of the labels"
        else:
            labels = {
                "all": "",
                "each": "each share of the labels",
                "smallest": "fewest labels",
                "largest": "most labels",
            }[self.fractions]
        subgroup = "" if self.subgroup == "all" else self.subgroup
        return f"{self.first} minus {self.second}", self.protocol, where, subgroup, labels


class _Hypothesis(Options):
    """What every test says about the effect that it measures.

    Attributes:
        direction: 'above' or 'below' the margin, 'not below' minus the margin (non-inferior), or
            'equal' up to the margin.
        margin: in the unit of the effect.
    """

    direction: Direction = "above"
    margin: float = 0.0

    @model_validator(mode="after")
    def _margin_fits(self) -> Self:
        needed = self.direction in ("not below", "equal")
        if self.margin < 0 or (needed and self.margin == 0):
            raise ValueError(
                f"margin {self.margin:g} with direction '{self.direction}': a margin is not "
                "negative, and 'not below' and 'equal' need one above 0"
            )
        return self


class GainTest(_Hypothesis, Gain):
    """Is a gain above zero? With `fractions: each` or a list, at every one of them."""

    kind: Literal["gain"]


class DifferenceTest(_Hypothesis):
    """Is one gain larger than another?"""

    kind: Literal["difference"]
    of: Gain
    minus: Gain

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.of == self.minus:
            raise ValueError("'of' and 'minus' are the same gain: an empty contrast")
        for gain in (self.of, self.minus):
            if gain.fractions == "each" or isinstance(gain.fractions, tuple):
                raise ValueError("fractions of a difference are all, smallest or largest")
        return self

    def label(self) -> str:
        """What is measured, in a few words."""
        facets = list(zip(self.of.facets(), self.minus.facets(), strict=True))
        same = ", ".join(a for a, b in facets if a == b and a)
        of = ", ".join(a for a, b in facets if a != b)
        minus = ", ".join(b for a, b in facets if a != b)
        return f"{same}: gain with {of} minus gain with {minus}"


class QualityTest(_Hypothesis):
    """Is a share, measured on the counterfactuals of test images, above a bar, the margin?"""

    kind: Literal["quality"]
    measure: str

    def label(self) -> str:
        """What is measured, in a few words."""
        return f"{self.measure} of counterfactual images, bar {self.margin:g}"


class SeparabilityTest(_Hypothesis):
    """Does one encoder tell scanners (or implants) apart better than another?

    Attributes:
        measure: of `separability.csv`.
        first, second: names of the ledger's encoders.
        where_known: cohorts that cannot have the measure are judged without this test.
    """

    kind: Literal["separability"]
    measure: str
    first: str
    second: str
    where_known: bool = False

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if self.first == self.second:
            raise ValueError(f"'{self.first}' minus itself is an empty contrast")
        return self

    def label(self) -> str:
        """What is measured, in a few words."""
        return f"{self.measure}: {self.first} minus {self.second}"


class CostTest(_Hypothesis):
    """Do generator and bank take less time than the margin times one pretraining of an encoder?"""

    kind: Literal["cost"]
    encoder: str

    def label(self) -> str:
        """What is measured, in a few words."""
        return (
            f"seconds of generator and bank over those of one {self.encoder}, bar {self.margin:g}"
        )


Test = Annotated[
    GainTest | DifferenceTest | QualityTest | SeparabilityTest | CostTest,
    Field(discriminator="kind"),
]


class Claim(Options):
    """One claim of the paper.

    Attributes:
        id: C1 ... C14.
        statement: the claim, in short.
        where: its place in the paper.
        figure, notebook: what shows it in the book, by name; None where nothing does yet.
        note: what of the claim the tests leave out, or how they read it.
        tests: all of them have to hold.
    """

    id: str = Field(pattern=r"^C[1-9]\d*$")
    statement: str = Field(min_length=1)
    where: str = Field(min_length=1)
    figure: str | None = None
    notebook: str | None = None
    note: str = ""
    tests: tuple[Test, ...] = Field(min_length=1)


class Ledger(Options):
    """All claims, and the encoders that they speak of."""

    encoders: dict[str, Encoder]
    claims: tuple[Claim, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for name, count in Counter(claim.id for claim in self.claims).items():
            if count > 1:
                raise ValueError(f"claim {name} is listed {count} times")
        for claim in self.claims:
            for name in (name for test in claim.tests for name in encoders_of(test)):
                if name not in self.encoders:
                    raise ValueError(
                        f"claim {claim.id}: encoder '{name}' is not one of {sorted(self.encoders)}"
                    )
        return self

    def subset(self, names: Sequence[str]) -> "Ledger":
        """The ledger with some of its claims; with all if none is named.

        Raises:
            ValueError: a claim is not in it.
        """
        ids = [claim.id for claim in self.claims]
        if unknown := [name for name in names if name not in ids]:
            raise ValueError(f"claims {unknown} are not in the ledger; it has {ids}")
        chosen = tuple(claim for claim in self.claims if not names or claim.id in names)
        return self.model_copy(update={"claims": chosen})


def encoders_of(test: Test) -> list[str]:
    """Names of the encoders that a test compares."""
    match test:
        case GainTest() | SeparabilityTest():
            return [test.first, test.second]
        case DifferenceTest():
            return [test.of.first, test.of.second, test.minus.first, test.minus.second]
        case CostTest():
            return [test.encoder]
    return []


def load(path: Path = LEDGER) -> Ledger:
    """The ledger in a file, after its checks.

    Raises:
        ValueError: it is no such ledger; names the file, the claim and the key.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Ledger.model_validate(content)
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {error}") from error
    except ValidationError as error:
        raise ValueError("\n".join([f"{path}:", *_faults(error, content)])) from error


def _faults(error: ValidationError, content: object) -> list[str]:
    """One line per fault; a claim is named by its id, not by its place in the list."""
    lines = []
    for fault in error.errors():
        place = list(fault["loc"])
        if len(place) > 1 and place[0] == "claims" and isinstance(content, dict):
            claim = content["claims"][place[1]]
            place[1] = claim.get("id", place[1]) if isinstance(claim, dict) else place[1]
        lines.append(f"  {'.'.join(str(part) for part in place)}: {fault['msg']}")
    return lines
