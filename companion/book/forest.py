"""The forest plot of the claims: effects of this build, the record and the paper, side by side.

A list with marks placed by CSS (`book/style/book.css`), so that words wrap on a phone, colours
follow the page, and a pointer, the keyboard and a screen reader all get to the numbers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from companion.claims import published
from companion.claims.judging import Finding, Outcome
from companion.claims.ledger import Ledger

STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)  # between the marks of the axis
NAMES = {"build": "this build", "record": "the record", "paper": "the paper, on its own cohorts"}
# Which of the paper's cohorts a cohort of ours stands for.
STANDS_FOR = {"phantom-breast": "embed", "mini-mias": "embed"}


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
    known = {finding.claim.id: finding for finding in recorded}
    rows: Rows = []
    for finding in findings:
        mine = _of_auc(finding.outcomes)
        theirs = _of_auc(known[finding.claim.id].outcomes) if finding.claim.id in known else {}
        words = next(iter([*theirs, *mine]), None)
        if words is None:
            continue
        found = [
            _effect(source, outcomes[words])
            for source, outcomes in (("build", mine), ("record", theirs))
            if words in outcomes
        ]
        gain = paper.gain((mine | theirs)[words].test, ledger) if paper else None
        if gain is not None:
            found.append(Effect("paper", gain))
        rows.append((f"{finding.claim.id}  {words}", found))
    return rows


def _of_auc(outcomes: Sequence[Outcome]) -> dict[str, Outcome]:
    return {o.label: o for o in outcomes if o.effect is not None and o.effect.unit == "AUC"}


def _effect(source: str, outcome: Outcome) -> Effect:
    return Effect(source, outcome.value, outcome.low, outcome.high, str(outcome.verdict))


def forest_html(rows: Rows) -> str:
    """The plot as a figure of HTML; empty without rows."""
    if not rows:
        return ""
    scale = _limits(rows)
    title = "Effects behind the claims: differences of ROC-AUC with 95 % intervals"
    key = "".join(f'<li class="ccl-{source}">{name}</li>' for source, name in NAMES.items())
    drawn = "".join(_row(label, found, scale) for label, found in rows)
    return (
        f'<figure class="ccl-forest" role="group" aria-label="{title}">'
        f'<ul class="ccl-key">{key}</ul><ol>{drawn}</ol>{_axis(scale)}</figure>'
    )


def _limits(rows: Rows) -> tuple[float, float]:
    ends = [
        end
        for _, found in rows
        for effect in found
        for end in (effect.value, effect.low, effect.high)
        if end is not None
    ]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.05 * (high - low) or 0.01
    return max(low - room, -0.3), min(high + room, 0.3)


def _place(value: float, scale: tuple[float, float]) -> float:
    """Per cent of the way along the axis; what lies beyond its ends is put there."""
    low, high = scale
    return 100 * (min(max(value, low), high) - low) / (high - low)


def _row(label: str, found: Sequence[Effect], scale: tuple[float, float]) -> str:
    """A claim's test: its words, a mark for each effect, and the numbers for whoever asks."""
    marks = "".join(_mark(effect, scale) for effect in found)
    said = "".join(f"<li>{escape(effect.words)}</li>" for effect in found)
    return (
        f'<li tabindex="0"><span>{escape(label)}</span>'
        f'<div class="ccl-marks" aria-hidden="true">{_zero(scale)}{marks}</div>'
        f'<ul class="ccl-said">{said}</ul></li>'
    )


def _zero(scale: tuple[float, float]) -> str:
    return f'<i class="ccl-zero" style="left:{_place(0, scale):.2f}%"></i>'


def _mark(effect: Effect, scale: tuple[float, float]) -> str:
    interval = ""
    if effect.low is not None and effect.high is not None:
        low, high = _place(effect.low, scale), _place(effect.high, scale)
        interval = f'<i class="ccl-range" style="left:{low:.2f}%;width:{high - low:.2f}%"></i>'
    dot = f'<i class="ccl-dot" style="left:{_place(effect.value, scale):.2f}%"></i>'
    return f'<div class="ccl-{effect.source}">{interval}{dot}</div>'


def _signed(value: float) -> str:
    return f"{value:+.2f}" if abs(value) > 1e-9 else "0"


def _axis(scale: tuple[float, float]) -> str:
    low, high = scale
    step = next((step for step in STEPS if (high - low) / step <= 5), STEPS[-1])
    marks = range(math.ceil(low / step), math.floor(high / step) + 1)
    ticks = "".join(
        f'<span style="left:{_place(mark * step, scale):.2f}%">{_signed(mark * step)}</span>'
        for mark in marks
    )
    return f'<div class="ccl-axis" aria-hidden="true">{ticks}</div>'
