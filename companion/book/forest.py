"""The forest plot of the claims: effects of this build, the record and the paper, side by side."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from companion.book.templates import render
from companion.claims import published
from companion.claims.judging import Finding, Outcome
from companion.claims.ledger import Ledger

STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)  # between the marks of the axis
NAMES = {"build": "this build", "record": "the record", "paper": "the paper, on its own cohorts"}
# Which of the paper's cohorts a cohort of ours stands for.
STANDS_FOR = {"phantom-breast": "embed", "mini-mias": "embed"}
WIDEST = 0.3  # ends of the axis, at most


@dataclass(frozen=True)
class Effect:
    """A difference of AUCs with the ends of its interval, which the paper's curves have not."""

    source: str
    value: float
    low: float | None = None
    high: float | None = None
    verdict: str = ""

    @property
    def words(self) -> str:
        """The same as text."""
        interval = "" if self.low is None else f" ({self.low:+.3f} to {self.high:+.3f})"
        verdict = f", {self.verdict}" if self.verdict else ""
        return f"{NAMES[self.source]}: {self.value:+.3f}{interval}{verdict}"


Rows = list[tuple[str, list[Effect]]]


def effects(
    findings: Sequence[Finding], recorded: Sequence[Finding], ledger: Ledger, cohort: str
) -> Rows:
    """One row a claim: its first test that compares AUCs, and what it came to.

    Args:
        findings: of this build.
        recorded: of the record of the same cohort; empty without one.
        ledger: whose claims these are.
        cohort: name of the build's cohort.
    """
    paper = published.of_cohort(STANDS_FOR.get(cohort, "padchest"))
    record = {finding.claim.id: _of_auc(finding) for finding in recorded}
    rows: Rows = []
    for finding in findings:
        outcomes = {"build": _of_auc(finding), "record": record.get(finding.claim.id, {})}
        words = next(iter([*outcomes["record"], *outcomes["build"]]), None)
        if words is None:
            continue
        known = {source: found[words] for source, found in outcomes.items() if words in found}
        shown = [
            Effect(source, each.value, each.low, each.high, str(each.verdict))
            for source, each in known.items()
        ]
        gain = paper.gain(next(iter(known.values())).test, ledger) if paper else None
        shown += [] if gain is None else [Effect("paper", gain)]
        rows.append((f"{finding.claim.id}  {words}", shown))
    return rows


def _of_auc(finding: Finding) -> dict[str, Outcome]:
    found = finding.outcomes
    return {o.label: o for o in found if o.effect is not None and o.effect.unit == "AUC"}


def forest_html(rows: Rows) -> str:
    """The plot as a figure of HTML; empty without rows."""
    if not rows:
        return ""
    shown = [effect for _, some in rows for effect in some]
    ends = [end for each in shown for end in (each.value, each.low, each.high) if end is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.05 * (high - low) or 0.01
    low, high = max(low - room, -WIDEST), min(high + room, WIDEST)

    def place(value: float) -> float:
        """Per cent of the way along the axis; what lies beyond its ends is put there."""
        return round(100 * (min(max(value, low), high) - low) / (high - low), 2)

    step = next((step for step in STEPS if (high - low) / step <= 5), STEPS[-1])
    marks = range(math.ceil(low / step), math.floor(high / step) + 1)
    ticks = [step * mark for mark in marks]
    return render("forest.html", rows=rows, names=NAMES, place=place, ticks=ticks)
