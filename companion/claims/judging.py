"""Verdicts: what the results of one experiment say about each claim of the ledger.

A verdict follows from an interval alone. A test is *supported* where the whole interval lies on
the claimed side of the margin, *contradicted* where it lies on the other side, and *not supported*
otherwise. The tests of a claim share an error of 5 % (Holm), so each interval is read at the level
that Holm's procedure gives it. A claim is supported if all of its tests are, and contradicted if
one is. (For all of them together no correction would be needed; it allows a verdict on each.)

What an interval covers is said with it. Over several pretraining seeds it is training again, on
these test patients. With one pretraining seed it can only be other test patients, for these very
encoders; that decides nothing about a way of training, so the words are others: *as claimed*,
*against the claim*, *undecided*, each with "(one seed)".

Where every pretraining seed had a generator of its own, the interval covers training it again as
well. A verdict that rests on one training of a generator, be it that its counterfactuals were
judged or that all encoders learned from them, says so. So does one whose encoders had not
converged.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from companion.claims import published
from companion.claims.contrasts import Effect, NotTestedError, gain_fractions
from companion.claims.estimates import holm
from companion.claims.evidence import Evidence, measure
from companion.claims.ledger import Claim, Direction, GainTest, Ledger, SeparabilityTest, Test
from companion.claims.published import Published

ONE_SEED = "one pretraining seed, which decides nothing about training again"
ONE_GENERATOR = "one training of the generator, which says nothing about training it again"


class Verdict(StrEnum):
    """What the results say."""

    supported = "supported"
    not_supported = "not supported"
    contradicted = "contradicted"
    as_claimed = "as claimed (one seed)"
    undecided = "undecided (one seed)"
    against = "against the claim (one seed)"
    untested = "not tested here"


OF_ONE_SEED = {
    Verdict.supported: Verdict.as_claimed,
    Verdict.not_supported: Verdict.undecided,
    Verdict.contradicted: Verdict.against,
}


@dataclass(frozen=True)
class Outcome:
    """What one test of a claim found.

    Attributes:
        test: what was asked.
        verdict: on this test.
        value, low, high: effect and interval; NaN where not tested.
        level: of the interval, from Holm's procedure.
        p_value: Holm-adjusted, of the effect being at the nearest margin.
        effect: where the numbers come from, None where not tested.
        reasons: what keeps the verdict from being more, or from saying more.
        published: the paper's own value, on its own cohorts.
    """

    test: Test
    verdict: Verdict = Verdict.untested
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    level: float = math.nan
    p_value: float = math.nan
    effect: Effect | None = None
    reasons: tuple[str, ...] = ()
    published: float | None = None

    @property
    def label(self) -> str:
        """What was measured, in a few words."""
        return self.test.label()

    @property
    def counts(self) -> bool:
        """Whether the verdict on the claim needs this test, or is left to the others."""
        optional = isinstance(self.test, SeparabilityTest) and self.test.where_known
        return not (optional and self.verdict == Verdict.untested)

    @property
    def reason(self) -> str:
        """What keeps the verdict from being more, or from saying more."""
        return "; ".join(self.reasons)

    @property
    def interval_text(self) -> str:
        """Effect and interval as text."""
        if self.effect is None:
            return ""
        form = {"AUC": "+.3f", "difference": "+.3f", "share": ".1%"}.get(self.effect.unit, ".2f")
        if math.isinf(self.low):
            return f"{self.value:{form}} (no interval)"
        return f"{self.value:{form}} ({self.low:{form}} to {self.high:{form}})"


@dataclass(frozen=True)
class Finding:
    """A claim, the verdict on it, and what each of its tests found."""

    claim: Claim
    verdict: Verdict
    outcomes: tuple[Outcome, ...]

    @property
    def reason(self) -> str:
        """What keeps the verdict from being more, or from saying more."""
        reasons = (reason for each in self.outcomes if each.counts for reason in each.reasons)
        return "; ".join(dict.fromkeys(reasons))


def judge(ledger: Ledger, evidence: Evidence) -> list[Finding]:
    """A finding for each claim of the ledger.

    Raises:
        ValueError: the evidence lacks what it should have, or a contrast is empty; names the claim.
    """
    reported = published.of_cohort(evidence.setting.cohort)
    findings = []
    for claim in ledger.claims:
        try:
            outcomes = _outcomes(claim, ledger, evidence, reported)
        except ValueError as error:
            raise ValueError(f"claim {claim.id}: {error}") from error
        verdict = overall([outcome.verdict for outcome in outcomes if outcome.counts])
        findings.append(Finding(claim, verdict, tuple(outcomes)))
    return findings


def _outcomes(
    claim: Claim, ledger: Ledger, evidence: Evidence, reported: Published | None
) -> list[Outcome]:
    tests = [each for test in claim.tests for each in _one_per_fraction(test, ledger, evidence)]
    effects = [_measured(test, ledger, evidence) for test in tests]
    measured = [(t, e) for t, e in zip(tests, effects, strict=True) if isinstance(e, Effect)]
    # Of the effect lying on the margin, on the nearer of two.
    p_values = [
        max(map(e.estimate.p_value, claimed_range(t.direction, t.margin))) for t, e in measured
    ]
    corrected = iter(zip(*holm(p_values), strict=True))
    outcomes = []
    for test, effect in zip(tests, effects, strict=True):
        value = reported.gain(test, ledger) if reported else None
        if isinstance(effect, str):
            outcomes.append(Outcome(test, reasons=(effect,), published=value))
        else:
            p_value, level = next(corrected)
            outcomes.append(_outcome(test, effect, float(p_value), float(level), value))
    return outcomes


def _one_per_fraction(test: Test, ledger: Ledger, evidence: Evidence) -> list[Test]:
    """The tests of a gain at each of several label fractions; any other test by itself."""
    if not isinstance(test, GainTest) or test.fractions in ("all", "smallest", "largest"):
        return [test]
    try:
        shares = gain_fractions(evidence.results, test, ledger.encoders, evidence.setting)
    except NotTestedError:
        return [test]  # whose measurement will say why
    return [test.model_copy(update={"fractions": (share,)}) for share in shares]


def _measured(test: Test, ledger: Ledger, evidence: Evidence) -> Effect | str:
    """The effect, or the reason why there is none."""
    try:
        return measure(test, ledger, evidence)
    except NotTestedError as reason:
        return str(reason)


def _outcome(
    test: Test, effect: Effect, p_value: float, level: float, reported: float | None
) -> Outcome:
    low, high = effect.estimate.interval(level)
    verdict = decide(test.direction, test.margin, low, high)
    reasons = (ONE_GENERATOR,) if effect.one_generator else ()
    if effect.unconverged:
        reasons = (f"not converged: {', '.join(effect.unconverged)}", *reasons)
    if effect.seeds == 1:
        verdict, reasons = OF_ONE_SEED[verdict], (ONE_SEED, *reasons)
    return Outcome(
        test=test,
        verdict=verdict,
        value=effect.estimate.value,
        low=low,
        high=high,
        level=level,
        p_value=p_value,
        effect=effect,
        reasons=reasons,
        published=reported,
    )


def claimed_range(direction: Direction, margin: float) -> tuple[float, float]:
    """Between what an effect has to lie; see `companion.claims.ledger`."""
    return {
        "above": (margin, math.inf),
        "below": (-math.inf, margin),
        "not below": (-margin, math.inf),
        "equal": (-margin, margin),
    }[direction]


def decide(direction: Direction, margin: float, low: float, high: float) -> Verdict:
    """The verdict that the interval of an effect gives."""
    least, most = claimed_range(direction, margin)
    if least < low and high < most:
        return Verdict.supported
    return Verdict.contradicted if high < least or most < low else Verdict.not_supported


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim whose tests all have to hold.

    A claim of which a part was not tested is not supported, however the rest came out. Where a part
    rests on one seed, so does the claim.
    """
    distinct = set(verdicts)
    if Verdict.contradicted in distinct:
        return Verdict.contradicted
    if len(distinct) == 1:
        return verdicts[0]
    if Verdict.against in distinct:
        return Verdict.against
    if distinct == {Verdict.supported, Verdict.as_claimed}:
        return Verdict.as_claimed
    one_seed = distinct & set(OF_ONE_SEED.values())
    return Verdict.undecided if one_seed else Verdict.not_supported


def table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Findings with a row per test; NaN and empty text where it was not tested.

    Returns:
        Columns `claim`, `verdict` (on the claim), `test`, `test_verdict`, `unit`, `effect`,
        `ci_low`, `ci_high`, `level`, `p_holm`, `seeds`, `n`, `covers`, `reason`, `published`,
        `statement`, `where`, `figure`, `notebook`.
    """
    return pd.DataFrame(
        [_row(finding, outcome) for finding in findings for outcome in finding.outcomes]
    )


def _row(finding: Finding, outcome: Outcome) -> dict[str, object]:
    claim, effect = finding.claim, outcome.effect
    return {
        "claim": claim.id,
        "verdict": str(finding.verdict),
        "test": outcome.label,
        "test_verdict": str(outcome.verdict),
        "unit": effect.unit if effect else "",
        "effect": outcome.value,
        "ci_low": outcome.low,
        "ci_high": outcome.high,
        "level": outcome.level,
        "p_holm": outcome.p_value,
        "seeds": effect.seeds if effect else 0,
        "n": effect.n if effect else 0,
        "covers": effect.covers if effect else "",
        "reason": outcome.reason,
        "published": math.nan if outcome.published is None else outcome.published,
        "statement": claim.statement,
        "where": claim.where,
        "figure": claim.figure or "",
        "notebook": claim.notebook or "",
    }


def as_text(findings: Sequence[Finding]) -> str:
    """Findings for a terminal: a line per claim, and one per test below it."""
    lines = []
    for finding in findings:
        claim = finding.claim
        lines.append(f"{claim.id:<4}{finding.verdict.upper():<30}{claim.statement} ({claim.where})")
        for outcome in finding.outcomes:
            lines.append(f"      {outcome.label}: {_as_words(outcome)}")
    return "\n".join(lines)


def _as_words(outcome: Outcome) -> str:
    if outcome.effect is None:
        return f"{outcome.verdict}, {outcome.reason}"
    effect = outcome.effect
    seeds = f", {effect.seeds} seeds" if effect.seeds > 1 else ""
    paper = f"; the paper: {outcome.published:+.3f}" if outcome.published is not None else ""
    reason = f" ({outcome.reason})" if outcome.reason else ""
    interval = f"{outcome.level:.1%} interval over {effect.covers}{seeds}, " * bool(effect.covers)
    measured = f"{outcome.interval_text} {effect.unit}{paper}"
    return f"{outcome.verdict}{reason}, {measured}; {interval}n = {effect.n}"
