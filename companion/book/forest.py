"""The forest plot of the claims: effects of this build, the record and the paper, side by side.

Plain SVG, so that it takes the page's colours, light or dark, and says its numbers to a pointer and
to a screen reader.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from companion.claims import published
from companion.claims.judging import Finding, Outcome
from companion.claims.ledger import Ledger

WIDTH, LEFT, RIGHT, ROW, TOP = 680, 24, 24, 46, 44
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)  # between the marks of the axis
COLOURS = {"build": "#009E73", "record": "#0072B2", "paper": "#D55E00"}
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
    return {o.words: o for o in outcomes if o.effect is not None and o.effect.unit == "AUC"}


def _effect(source: str, outcome: Outcome) -> Effect:
    return Effect(source, outcome.value, outcome.low, outcome.high, str(outcome.verdict))


def forest_html(rows: Rows) -> str:
    """The plot as a figure of HTML; empty without rows."""
    if not rows:
        return ""
    low, high = _limits(rows)
    height = TOP + ROW * len(rows) + 30
    parts = [*_legend(), *_axis(low, high, height)]
    for index, (label, found) in enumerate(rows):
        parts += _row(TOP + ROW * index, label, found, low, high)
    title = "Effects behind the claims: differences of ROC-AUC with 95 % intervals"
    return (
        f'<figure class="ccl-forest"><svg viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{title}" style="width:100%;max-width:{WIDTH}px;color:inherit" '
        f'font-size="13" fill="currentColor">{"".join(parts)}</svg></figure>'
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


def _place(value: float, low: float, high: float) -> float:
    inside = min(max(value, low), high)
    return LEFT + (inside - low) / (high - low) * (WIDTH - LEFT - RIGHT)


def _legend() -> Iterator[str]:
    x = LEFT
    for source, name in NAMES.items():
        yield f'<circle cx="{x + 5}" cy="14" r="5" fill="{COLOURS[source]}"/>'
        yield f'<text x="{x + 15}" y="18">{name}</text>'
        x += 40 + 7 * len(name)


def _axis(low: float, high: float, height: int) -> Iterator[str]:
    step = next((step for step in STEPS if (high - low) / step <= 8), STEPS[-1])
    marks = range(round(low / step - 0.5) + 1, round(high / step + 0.5))
    for mark in marks:
        x, heavy = _place(mark * step, low, high), 1.2 if mark == 0 else 0.25
        yield (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="30" y2="{height - 24}" stroke="currentColor" '
            f'stroke-width="{heavy}"/>'
            f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle" font-size="11">'
            f"{mark * step:+.2f}</text>"
        )


def _row(y: int, label: str, found: Sequence[Effect], low: float, high: float) -> Iterator[str]:
    yield f'<text x="{LEFT}" y="{y + 10}" font-size="12">{escape(label)}</text>'
    for index, effect in enumerate(found):
        at, x, colour = y + 19 + 7 * index, _place(effect.value, low, high), COLOURS[effect.source]
        yield f"<g><title>{escape(effect.words)}</title>"
        if effect.low is not None and effect.high is not None:
            ends = (_place(end, low, high) for end in (effect.low, effect.high))
            first, last = ends
            yield (
                f'<line x1="{first:.1f}" x2="{last:.1f}" y1="{at}" y2="{at}" stroke="{colour}" '
                'stroke-width="2.5"/>'
            )
        yield f'<circle cx="{x:.1f}" cy="{at}" r="4" fill="{colour}"/></g>'
