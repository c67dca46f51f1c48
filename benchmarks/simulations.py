"""Do the intervals keep their word? Simulations with a known effect.

Each function repeats an experiment of known truth many times and returns what its intervals did.
Nominal 95 % intervals have to cover the truth in about 95 % of them, and where there is no effect,
the ledger must call a claim supported or contradicted in at most 5 %. `python -m
benchmarks.simulations` keeps what came out in `study/`, which the page of the record shows; it
takes about a minute.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from companion import ROOT
from companion.claims.estimates import holm, mean_over_seeds
from companion.claims.judging import Verdict, decide, overall
from companion.engine.csv_files import write_table
from companion.evaluation.statistics import auc_replicates, roc_auc


@dataclass(frozen=True)
class Coverage:
    """What intervals did in repeated experiments.

    Attributes:
        covered: share that held the true effect.
        excluded_zero: share that lay on one side of zero: false alarms where the truth is zero,
            the power otherwise.
        repetitions: number of experiments.
    """

    covered: float
    excluded_zero: float
    repetitions: int

    @classmethod
    def of(cls, intervals: np.ndarray, truth: float) -> "Coverage":
        """Counts intervals (R, 2)."""
        low, high = intervals[:, 0], intervals[:, 1]
        return cls(
            float(np.mean((low <= truth) & (truth <= high))),
            float(np.mean((low > 0) | (high < 0))),
            len(intervals),
        )


def seed_intervals(
    truth: float, *, seeds: int = 3, sd: float = 0.01, repetitions: int = 500, seed: int = 0
) -> Coverage:
    """Student's t over pretraining seeds whose gains scatter normally around the truth.

    Args:
        truth: the effect.
        seeds: pretraining seeds per experiment.
        sd: standard deviation between them.
        repetitions: number of experiments.
        seed: of the simulation.
    """
    gains = np.random.default_rng(seed).normal(truth, sd, size=(repetitions, seeds))
    return Coverage.of(np.array([mean_over_seeds(row).interval() for row in gains]), truth)


def paired_bootstrap(
    distances: tuple[float, float],
    *,
    patients: int = 150,
    images: int = 2,
    n_bootstrap: int = 400,
    repetitions: int = 500,
    seed: int = 0,
) -> Coverage:
    """The paired bootstrap of two encoders' AUCs on the same patients.

    Scores are normal, and class means lie d standard deviations apart: AUC = Phi(d / sqrt 2). A
    third of the variance is what makes a patient hard for both encoders, a third what makes the
    patient hard for one of them, and a third differs between the patient's images.

    Args:
        distances: d of the first and the second encoder; equal means no effect.
        patients: test patients per experiment, half of them with the finding.
        images: per patient.
        n_bootstrap: replicates per experiment.
        repetitions: number of experiments.
        seed: of the simulation.
    """
    first, second = (float(stats.norm.cdf(d / np.sqrt(2))) for d in distances)
    labels = np.repeat(np.arange(patients) % 2, images)
    owner = np.repeat(np.arange(patients), images)
    intervals = []
    for repetition in range(repetitions):
        rng = np.random.default_rng([seed, repetition])
        shared = rng.normal(size=patients)
        one, other = (
            labels * d
            + ((shared + rng.normal(size=patients))[owner] + rng.normal(size=len(owner)))
            / np.sqrt(3)
            for d in distances
        )
        found = bootstrap_difference(labels, one, other, owner, rng, n_bootstrap=n_bootstrap)
        intervals.append(found[1:])
    return Coverage.of(np.array(intervals), first - second)


def bootstrap_difference(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    patients: np.ndarray,
    rng: np.random.Generator,
    *,
    n_bootstrap: int,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """ROC-AUC of `first` minus that of `second` on the same images, with its bootstrap interval.

    Paired: each replicate draws the same patients for both, so what makes a patient hard for both
    cancels. The interval says how the difference would vary with other test patients; two encoders
    that were trained again may differ by more.

    The interval is Student's t with the bootstrap's standard error, over the number of patients:
    differences scatter symmetrically, and with a hundred patients the percentile interval covers
    a little too rarely.

    Args:
        labels: as for `companion.evaluation.statistics.roc_auc`.
        first, second: scores as for `roc_auc`, of the same images in the same order.
        patients: (n,) name of each image's patient; all images of a patient are drawn together.
        rng: draws the replicates.
        n_bootstrap: number of replicates.
        level: probability that the interval is to cover.

    Returns:
        Difference in [-1, 1], lower and upper end.

    Source:
        Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 12.
    """
    drawn = auc_replicates(labels, [first, second], patients, rng, n_bootstrap=n_bootstrap)
    differences, n = drawn[0, 0] - drawn[1, 0], len(np.unique(patients))
    error = np.nanstd(differences, ddof=1) * np.sqrt(n / (n - 1))
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * error)
    value = roc_auc(labels, first) - roc_auc(labels, second)
    return value, value - half, value + half


def claim_verdicts(
    effects: tuple[float, ...],
    *,
    seeds: int = 3,
    sd: float = 0.01,
    correlation: float = 0.5,
    repetitions: int = 500,
    seed: int = 0,
) -> dict[Verdict, float]:
    """How often a claim of several tests gets each verdict.

    Args:
        effects: the true effect of each test, all claimed to be above zero.
        seeds: pretraining seeds per experiment.
        sd: standard deviation between them.
        correlation: of the tests' gains within a pretraining seed.
        repetitions: number of experiments.
        seed: of the simulation.

    Returns:
        Share of each verdict on the claim.
    """
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(repetitions, seeds, 1))
    own = rng.normal(size=(repetitions, seeds, len(effects)))
    noise = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
    gains = np.asarray(effects) + sd * noise
    verdicts = [_claim_verdict(experiment) for experiment in gains]
    return {verdict: verdicts.count(verdict) / repetitions for verdict in Verdict}


def _claim_verdict(gains: np.ndarray) -> Verdict:
    """On gains (S, tests) that should all be above zero."""
    estimates = [mean_over_seeds(column) for column in gains.T]
    _, levels = holm([estimate.p_value(0.0) for estimate in estimates])
    intervals = [e.interval(level) for e, level in zip(estimates, levels, strict=True)]
    return overall([decide("above", 0.0, low, high) for low, high in intervals])


def coverage(repetitions: int = 5000, slow_repetitions: int = 500) -> pd.DataFrame:
    """The intervals of this project on experiments of known truth, a row for each kind.

    Args:
        repetitions: experiments with pretraining seeds.
        slow_repetitions: experiments with a bootstrap of 1,000 replicates.

    Returns:
        Columns 'interval', 'truth', 'covered' (share that held the truth, nominal 0.95),
        'called an effect' (share that lay on one side of zero), 'repetitions'.
    """
    rows = []
    for seeds in (2, 3, 5):
        for effect in (0.0, 0.02):
            found = seed_intervals(effect, seeds=seeds, repetitions=repetitions)
            rows.append((f"over {seeds} pretraining seeds", _name_of(effect), found))
    for better in (1.0, 1.4):
        found = paired_bootstrap(
            (better, 1.0), patients=120, n_bootstrap=1000, repetitions=slow_repetitions
        )
        rows.append(("paired bootstrap of patients", _name_of(better - 1), found))
    columns = ["interval", "truth", "covered", "called an effect", "repetitions"]
    return pd.DataFrame(
        [
            (kind, truth, found.covered, found.excluded_zero, found.repetitions)
            for kind, truth, found in rows
        ],
        columns=columns,
    )


def _name_of(effect: float) -> str:
    return "an effect" if effect else "no effect"


def verdicts(repetitions: int = 2000) -> pd.DataFrame:
    """How often claims of one and of four tests get each verdict, by what is true of the tests.

    Args:
        repetitions: experiments with three pretraining seeds.

    Returns:
        Column 'truth', and the share of each verdict that can occur.
    """
    truths = {
        "one test, no effect": (0.0,),
        "one test, the claimed effect": (0.05,),
        "four tests, no effect": (0.0,) * 4,
        "four tests, the claimed effect in all": (0.05,) * 4,
        "four tests, the opposite in one": (-0.05, 0.05, 0.05, 0.05),
    }
    found = {
        truth: claim_verdicts(effects, repetitions=repetitions) for truth, effects in truths.items()
    }
    table = pd.DataFrame.from_dict(found, orient="index").drop(columns=Verdict.untested)
    return table.rename(columns=str).rename_axis("truth").reset_index()


def main() -> None:
    for name, table in {"coverage": coverage(), "verdicts": verdicts()}.items():
        write_table(table, ROOT / "study" / f"{name}.csv", float_format="%.6g")


if __name__ == "__main__":
    main()
