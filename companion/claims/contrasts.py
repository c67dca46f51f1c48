"""Effects out of `results.csv`: gains of one encoder over another, as weighted sums of AUCs.

A contrast is a weight for each cell (an encoder's AUC on one test domain with one share of the
labels); the weights of the first encoder add up to 1 and those of the second to -1. What is
estimated is one weighted sum per pretraining seed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from companion.claims.estimates import Estimate, mean_over_seeds
from companion.claims.ledger import (
    OBJECTIVES,
    PROTOCOLS,
    STRATEGIES,
    DifferenceTest,
    Encoder,
    Gain,
)
from companion.cohorts.cohort import Cohort
from companion.evaluation.results import POOLED, RESULT_COLUMNS

CELL = [
    *("objective", "strategy", "protocol", "subgroup"),
    *("test_cohort", "domain", "label_fraction"),
]
Encoders = Mapping[str, Encoder]
Rows = tuple[pd.DataFrame, pd.DataFrame]  # of the first encoder and of the second


class NotTestedError(Exception):
    """What a claim speaks of was not run here; the message says what is missing."""


@dataclass(frozen=True)
class Setting:
    """What the claims are asked about.

    Attributes:
        cohort: name of the cohort of generator and encoders.
        scanners: its pretraining scanners, from the one with the most training images down.
        held_out: scanners that neither generator nor encoder saw.
    """

    cohort: str
    scanners: tuple[str, ...]
    held_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, cohort: Cohort) -> "Setting":
        """The setting of experiments on a cohort."""
        train = cohort.table.loc[cohort.table["split"] == "train", "scanner"].value_counts()
        order = sorted(cohort.scanners, key=lambda scanner: -int(train.get(scanner, 0)))
        return cls(cohort.name, tuple(order), cohort.held_out_scanners)


@dataclass(frozen=True)
class Effect:
    """What a test of a claim measures.

    Attributes:
        estimate: the effect.
        seeds: behind it, of pretraining or of a generator; 0 for one generator that was judged.
        n: test images (or repetitions) behind it.
        unit: of the effect.
        covers: what its interval is over; '' where it has none.
        one_generator: whether it rests on a generator that was trained once, for all pretraining
            seeds.
        unconverged: encoders among those compared that had not converged.
    """

    estimate: Estimate
    seeds: int
    n: int
    unit: str = "AUC"
    covers: str = "other pretraining seeds, on these test patients"
    one_generator: bool = False
    unconverged: tuple[str, ...] = ()


def checked_results(results: pd.DataFrame, setting: Setting, source: str) -> pd.DataFrame:
    """The ROC-AUCs of `results.csv` by scanner, after making sure that they are what they say.

    Args:
        results: the table as read from the file `source`.
        setting: of the cohort that it should be about.

    Raises:
        ValueError: a column is missing, a value is not known or not possible, or a figure is
            there twice; names file and line.
    """
    if missing := [name for name in RESULT_COLUMNS if name not in results.columns]:
        raise ValueError(
            f"{source}: columns {missing} are missing; it has {list(results.columns)}. "
            "Make it anew (`make results`)"
        )
    auc = results[results["metric"] == "roc_auc"]
    if auc.empty:
        raise ValueError(f"{source}: no row has the metric 'roc_auc', so no claim can be tested")
    domains = [*setting.scanners, *setting.held_out, POOLED]
    known = {"cohort": [setting.cohort], "objective": OBJECTIVES}
    known |= {"strategy": STRATEGIES, "protocol": PROTOCOLS}
    checks = [(name, auc[name].isin(names), f"one of {[*names]}") for name, names in known.items()]
    elsewhere, figure = auc["test_cohort"] != setting.cohort, [*CELL, "pretrain_seed", "probe_seed"]
    checks += [
        ("domain", elsewhere | auc["domain"].isin(domains), f"one of {domains}"),
        ("value", auc["value"].between(0, 1), "an AUC between 0 and 1"),
        ("domain", ~auc.duplicated(figure), "one row per figure, not a second one"),
    ]
    for column, good, expected in checks:
        if not good.all():
            index = good[~good].index[0]
            raise ValueError(
                f"{source}, line {index + 2}: {column} is {auc.loc[index, column]!r}, "
                f"expected {expected}"
            )
    return auc[auc["domain"] != POOLED]


def auc_effect(auc: pd.DataFrame, weights: pd.Series) -> Effect:
    """A weighted sum of AUCs, of `contrast`, with its standard error.

    With several pretraining seeds the standard error is over the seeds' own contrasts (Student's
    t), on these test patients and labelled subsets. With one seed it is made from the
    patient-bootstrap intervals of the cells, taken as fully dependent over label fractions and
    independent otherwise. That errs on the wide side, since strategies are compared on the same
    patients.
    """
    by_seed = seed_effects(auc, weights)
    rows = _weighted_rows(auc[auc["pretrain_seed"].isin(by_seed.index)], weights)
    estimate = mean_over_seeds(by_seed.to_numpy())
    n = int(rows.groupby(["test_cohort", "domain", "subgroup"])["n"].max().sum())
    if len(by_seed) > 1:
        return Effect(estimate, len(by_seed), n)
    estimate = Estimate(estimate.value, _patient_error(rows, weights))
    return Effect(estimate, 1, n, covers="other test patients, for these encoders only")


def seed_effects(auc: pd.DataFrame, weights: pd.Series) -> pd.Series:
    """The contrast of each pretraining seed that has every cell, by rising seed.

    Raises:
        ValueError: no seed has.
    """
    cells = _weighted_rows(auc, weights).groupby([*CELL, "pretrain_seed"])["value"].mean()
    by_seed = cells.unstack("pretrain_seed").reindex(weights.index).dropna(axis=1)
    if by_seed.shape[1] == 0:
        raise ValueError("empty contrast: no pretraining seed has all the figures that it needs")
    return by_seed.mul(weights, axis=0).sum(axis=0)


def _weighted_rows(auc: pd.DataFrame, weights: pd.Series) -> pd.DataFrame:
    """The rows whose cell has a weight."""
    return auc[pd.MultiIndex.from_frame(auc[CELL]).isin(weights.index)]


def _patient_error(rows: pd.DataFrame, weights: pd.Series) -> float:
    bounds = rows.groupby(CELL)[["ci_low", "ci_high"]].mean().reindex(weights.index)
    half = (bounds["ci_high"] - bounds["ci_low"]) / 2
    per_curve = (weights.abs() * half).groupby(level=CELL[:-1]).sum()
    return math.sqrt(float((per_curve**2).sum())) / float(stats.norm.ppf(0.975))


# Which cells a test weighs


def contrast(
    auc: pd.DataFrame, test: Gain | DifferenceTest, encoders: Encoders, setting: Setting
) -> pd.Series:
    """The weight of each cell in a gain, every domain and label fraction counted alike.

    Of a difference it is that in one gain minus that in the other, both over the label fractions
    that both have.

    Raises:
        NotTestedError: an encoder, subgroup, domain or fraction was not run, or both gains of a
            difference are over the same cells here.
        ValueError: the encoders were run, but not on the same domains with the same labels.
    """
    gains = (test.of, test.minus) if isinstance(test, DifferenceTest) else (test,)
    compared = [_rows(auc, gain, encoders, setting) for gain in gains]
    shares = [_shares(rows, gain) for rows, gain in zip(compared, gains, strict=True)]
    common = [share for share in shares[0] if share in shares[-1]]
    if not common:
        raise ValueError(f"empty contrast: {test.label()} have no share of the labels in common")
    of, *others = (
        _weights(rows, gain, _chosen(gain, common))
        for rows, gain in zip(compared, gains, strict=True)
    )
    for minus in others:
        if of.equals(minus):
            raise NotTestedError(
                "both gains are over the same figures: there is only one to choose"
            )
        cells = of.index.append(minus.index).unique()
        of = of.reindex(cells, fill_value=0.0) - minus.reindex(cells, fill_value=0.0)
    return of


def gain_fractions(
    auc: pd.DataFrame, gain: Gain, encoders: Encoders, setting: Setting
) -> tuple[float, ...]:
    """The label fractions, ascending, that a gain is over.

    Raises:
        NotTestedError, ValueError: as `contrast`.
    """
    return _chosen(gain, _shares(_rows(auc, gain, encoders, setting), gain))


def _chosen(gain: Gain, shares: list[float]) -> tuple[float, ...]:
    """Those of some label fractions, ascending, that a gain is to be over."""
    if isinstance(gain.fractions, tuple):
        if missing := [share for share in gain.fractions if share not in shares]:
            raise NotTestedError(f"shares of the labels {missing} were not run, only {shares}")
        return gain.fractions
    return {"smallest": (shares[0],), "largest": (shares[-1],)}.get(gain.fractions, tuple(shares))


def _shares(both: Rows, gain: Gain) -> list[float]:
    """The label fractions, ascending, that both encoders have on every domain.

    External sets may start at a larger one than the cohort's own scanners.
    """
    first, second = (
        set.intersection(*rows.groupby(["test_cohort", "domain"])["label_fraction"].agg(set))
        for rows in both
    )
    if not first or first != second:
        # Dropping what only one has could make "at every share" true by omission.
        raise ValueError(
            f"{gain.first} and {gain.second} ({gain.protocol}) were not evaluated with the same "
            f"shares of the labels on every domain: {sorted(first)} and {sorted(second)}"
        )
    return sorted(first)


def _weights(both: Rows, gain: Gain, fractions: tuple[float, ...]) -> pd.Series:
    first, second = (rows[rows["label_fraction"].isin(fractions)] for rows in both)
    _require_same_labels(first, second, gain)
    parts = []
    for rows, sign in ((first, 1.0), (second, -1.0)):
        cells = pd.MultiIndex.from_frame(rows[CELL].drop_duplicates().sort_values(CELL))
        parts.append(pd.Series(sign / len(cells), index=cells))
    return pd.concat(parts)


def _rows(auc: pd.DataFrame, gain: Gain, encoders: Encoders, setting: Setting) -> Rows:
    """What `results.csv` has of both encoders, on the gain's subgroup and domains."""
    both = [_of_encoder(auc, name, encoders[name], gain) for name in (gain.first, gain.second)]
    subgroup = _subgroup(both[1], gain)
    first, second = (_on_domains(rows, subgroup, gain, setting) for rows in both)
    return first, second


def _of_encoder(auc: pd.DataFrame, name: str, encoder: Encoder, gain: Gain) -> pd.DataFrame:
    is_encoder = (auc["objective"] == encoder.objective) & (auc["strategy"] == encoder.strategy)
    if not is_encoder.any():
        raise NotTestedError(
            f"{name} was not run (objective '{encoder.objective}', strategy '{encoder.strategy}')"
        )
    rows = auc[is_encoder & (auc["protocol"] == gain.protocol)]
    if rows.empty:
        raise NotTestedError(f"{name} was not run with the protocol '{gain.protocol}'")
    return rows


def _subgroup(second: pd.DataFrame, gain: Gain) -> str:
    if gain.subgroup not in ("weakest", "strongest"):
        return gain.subgroup
    sexes = second[second["subgroup"].str.startswith("sex=")]
    if sexes["subgroup"].nunique() < 2:
        raise NotTestedError(f"{gain.second} has no figures of both sexes")
    means = sexes.groupby("subgroup")["value"].mean()
    return str(means.idxmin() if gain.subgroup == "weakest" else means.idxmax())


def _on_domains(rows: pd.DataFrame, subgroup: str, gain: Gain, setting: Setting) -> pd.DataFrame:
    rows = rows[rows["subgroup"] == subgroup]
    if rows.empty:
        raise NotTestedError(f"there are no figures of the subgroup '{subgroup}'")
    of_pretraining = (rows["test_cohort"] == setting.cohort) & rows["domain"].isin(setting.scanners)
    tested = set(rows.loc[of_pretraining, "domain"])
    present = [name for name in setting.scanners if name in tested]
    chosen = {
        "all": of_pretraining | ~of_pretraining,
        "in-distribution": of_pretraining,
        "rarest": of_pretraining & rows["domain"].isin(present[-1:]),
        "commonest": of_pretraining & rows["domain"].isin(present[:1]),
        "held-out": ~of_pretraining,
    }[gain.domains]
    if gain.test_cohort is not None:
        chosen &= rows["test_cohort"] == gain.test_cohort
    if not chosen.any():
        where = f"cohort '{gain.test_cohort}'" if gain.test_cohort else f"{gain.domains} scanners"
        raise NotTestedError(f"there are no figures on {where}")
    return rows[chosen]


def _require_same_labels(first: pd.DataFrame, second: pd.DataFrame, gain: Gain) -> None:
    """A paired comparison: same pretraining seeds, domains, shares and labelled subsets."""
    seeds = [set(rows["pretrain_seed"]) for rows in (first, second)]
    common = seeds[0] & seeds[1]
    if not common:
        raise ValueError(
            f"empty contrast: {gain.first} and {gain.second} ({gain.protocol}) have no "
            f"pretraining seed in common, {sorted(seeds[0])} and {sorted(seeds[1])}"
        )
    keys = ["pretrain_seed", "test_cohort", "domain", "label_fraction", "probe_seed"]
    figures = [
        set(rows.loc[rows["pretrain_seed"].isin(common), keys].itertuples(index=False, name=None))
        for rows in (first, second)
    ]
    if unpaired := sorted(figures[0] ^ figures[1]):
        incomplete = gain.second if unpaired[0] in figures[0] else gain.first
        raise ValueError(
            f"{incomplete} ({gain.protocol}) lacks the figure "
            f"{dict(zip(keys, unpaired[0], strict=True))} that it is to be compared on; evaluate "
            "both on the same domains and labelled subsets"
        )
