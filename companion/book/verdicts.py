"""Verdicts on the claims, found once for all pages of a build that show them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from companion.book import record
from companion.claims import ledger
from companion.claims.evidence import read_evidence
from companion.claims.judging import Finding, judge

if TYPE_CHECKING:
    from companion.experiments.config import Experiment


class Verdicts(NamedTuple):
    """What the claims come to on one cohort.

    Attributes:
        built: on the results of this build.
        recorded: on those of the record; empty where it has none of the cohort.
    """

    built: Sequence[Finding]
    recorded: Sequence[Finding]


def verdicts_on(experiment: "Experiment") -> Verdicts:
    """The verdicts on a finished experiment, and on the record of its cohort.

    Raises:
        FileNotFoundError: there are no results yet.
    """
    built = judge(ledger.load(), read_evidence(experiment.root))
    return Verdicts(built, record.findings_on(experiment.cohort_name))
