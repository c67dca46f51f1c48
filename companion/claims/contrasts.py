"""Effects out of `results.csv`: gains of one encoder over another, as weighted sums of AUCs.

A contrast is a weight for each cell (an encoder's AUC on one test domain with one share of the
labels); the weights of the first encoder add up to 1 and those of the second to -1. What is
estimated is one weighted sum per pretraining seed (`companion.claims.effects`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from companion.claims.ledger import (
    OBJECTIVES,
    PROTOCOLS,
    STRATEGIES,
    DifferenceTest,
    Encoder,
    Fractions,
    Gain,
)
from companion.cohorts.cohort import Cohort
from companion.evaluation.results import POOLED, RESULT_COLUMNS

CELL = (
    *("objective", "strategy", "protocol", "subgroup"),
    *("test_cohort", "domain", "label_fraction"),
)
Cell = tuple[str, str, str, str, str, str, float]
Weights = Mapping[Cell, float]
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


def checked_results(results: pd.DataFrame, setting: Setting, source: str) -> pd.DataFrame:
    """The ROC-AUCs of `results.csv` by scanner, after making sure that they are what they say.

    Args:
        results: the table as read.
        setting: of the cohort that it should be about.
        source: the file's name, for messages.

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
    _require_known(auc, setting, source)
    own = auc["test_cohort"] == setting.cohort
    domains = [*setting.scanners, *setting.held_out, POOLED]
    _refuse(auc, own & ~auc["domain"].isin(domains), "domain", f"one of {domains}", source)
    _refuse(auc, ~auc["value"].between(0, 1), "value", "an AUC between 0 and 1", source)
    keys = [*CELL, "pretrain_seed", "probe_seed"]
    _refuse(auc, auc.duplicated(keys), "domain", "one row per figure, not a second one", source)
    return auc[auc["domain"] != POOLED]


def _require_known(auc: pd.DataFrame, setting: Setting, source: str) -> None:
    allowed = {
        "cohort": (setting.cohort,),
        "objective": OBJECTIVES,
        "strategy": STRATEGIES,
        "protocol": PROTOCOLS,
    }
    for column, values in allowed.items():
        _refuse(auc, ~auc[column].isin(values), column, f"one of {list(values)}", source)


def _refuse(table: pd.DataFrame, bad: pd.Series, column: str, expected: str, source: str) -> None:
    if bad.any():
        index = bad[bad].index[0]
        raise ValueError(
            f"{source}, line {index + 2}: {column} is {table.loc[index, column]!r}, "
            f"expected {expected}"
        )


# Which cells a gain weighs


def gain_weights(auc: pd.DataFrame, gain: Gain, encoders: Encoders, setting: Setting) -> Weights:
    """The cells of a gain, every domain and label fraction counted alike.

    Raises:
        NotTestedError: an encoder, subgroup or domain was not run.
        ValueError: the encoders were run, but not on the same domains with the same labels.
    """
    rows = _rows(auc, gain, encoders, setting)
    return _weights(rows, gain, _select_fractions(gain.fractions, _shares(rows, gain)))


def difference_weights(
    auc: pd.DataFrame, test: DifferenceTest, encoders: Encoders, setting: Setting
) -> Weights:
    """The cells of one gain minus another, both over the label fractions that both gains have.

    Raises:
        NotTestedError: as `gain_weights`, or both gains are over the same cells here.
        ValueError: as `gain_weights`.
    """
    gains = test.of, test.minus
    rows = [_rows(auc, gain, encoders, setting) for gain in gains]
    shares = [set(_shares(each, gain)) for each, gain in zip(rows, gains, strict=True)]
    common = sorted(shares[0] & shares[1])
    if not common:
        raise ValueError(f"empty contrast: {test.label()} have no share of the labels in common")
    of, minus = (
        _weights(each, gain, _select_fractions(gain.fractions, common))
        for each, gain in zip(rows, gains, strict=True)
    )
    if of == minus:
        raise NotTestedError("both gains are over the same figures: there is only one to choose")
    cells = dict.fromkeys([*of, *minus])
    return {cell: of.get(cell, 0.0) - minus.get(cell, 0.0) for cell in cells}


def gain_fractions(
    auc: pd.DataFrame, gain: Gain, encoders: Encoders, setting: Setting
) -> tuple[float, ...]:
    """The label fractions, ascending, that a gain is over.

    Raises:
        NotTestedError, ValueError: as `gain_weights`.
    """
    shares = _shares(_rows(auc, gain, encoders, setting), gain)
    return _select_fractions(gain.fractions, shares)


def _shares(rows: Rows, gain: Gain) -> list[float]:
    """The label fractions, ascending, that both encoders have on every domain."""
    first, second = map(_common_fractions, rows)
    if not first or first != second:
        # Dropping what only one has could make "at every share" true by omission.
        raise ValueError(
            f"{gain.first} and {gain.second} ({gain.protocol}) were not evaluated with the same "
            f"shares of the labels on every domain: {sorted(first)} and {sorted(second)}"
        )
    return sorted(first)


def _common_fractions(rows: pd.DataFrame) -> set[float]:
    """The label fractions that every domain has: external sets may start at a larger one."""
    fractions = rows.groupby(["test_cohort", "domain"])["label_fraction"].agg(set)
    return {float(share) for share in set.intersection(*fractions)}


def _select_fractions(fractions: Fractions, common: list[float]) -> tuple[float, ...]:
    if isinstance(fractions, tuple):
        if missing := [share for share in fractions if share not in common]:
            raise NotTestedError(f"shares of the labels {missing} were not run, only {common}")
        return fractions
    return {"smallest": (common[0],), "largest": (common[-1],)}.get(fractions, tuple(common))


def _weights(both: Rows, gain: Gain, fractions: tuple[float, ...]) -> Weights:
    first, second = (rows[rows["label_fraction"].isin(fractions)] for rows in both)
    _require_same_labels(first, second, gain)
    weights: dict[Cell, float] = {}
    for rows, sign in ((first, 1.0), (second, -1.0)):
        cells = rows[list(CELL)].drop_duplicates().itertuples(index=False, name=None)
        sorted_cells: list[Cell] = sorted(cells)
        weights |= dict.fromkeys(sorted_cells, sign / len(sorted_cells))
    return weights


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
    in_subgroup = rows[rows["subgroup"] == subgroup]
    if in_subgroup.empty:
        raise NotTestedError(f"there are no figures of the subgroup '{subgroup}'")
    own = in_subgroup["test_cohort"] == setting.cohort
    present = [name for name in setting.scanners if (own & (in_subgroup["domain"] == name)).any()]
    is_pretraining = own & in_subgroup["domain"].isin(setting.scanners)
    chosen = {
        "all": is_pretraining | ~is_pretraining,
        "in-distribution": is_pretraining,
        "rarest": is_pretraining & in_subgroup["domain"].isin(present[-1:]),
        "commonest": is_pretraining & in_subgroup["domain"].isin(present[:1]),
        "held-out": ~is_pretraining,
    }[gain.domains]
    if gain.test_cohort is not None:
        chosen &= in_subgroup["test_cohort"] == gain.test_cohort
    if not chosen.any():
        description = (
            f"cohort '{gain.test_cohort}'" if gain.test_cohort else f"{gain.domains} scanners"
        )
        raise NotTestedError(f"there are no figures on {description}")
    return in_subgroup[chosen]


def _require_same_labels(first: pd.DataFrame, second: pd.DataFrame, gain: Gain) -> None:
    """A paired comparison: same pretraining seeds, domains, shares and labelled subsets."""
    keys = ["pretrain_seed", "test_cohort", "domain", "label_fraction", "probe_seed"]
    seeds = set(first["pretrain_seed"]) & set(second["pretrain_seed"])
    if not seeds:
        raise ValueError(
            f"empty contrast: {gain.first} and {gain.second} ({gain.protocol}) have no "
            f"pretraining seed in common, {sorted(set(first['pretrain_seed']))} and "
            f"{sorted(set(second['pretrain_seed']))}"
        )
    figures = [
        set(rows.loc[rows["pretrain_seed"].isin(seeds), keys].itertuples(index=False, name=None))
        for rows in (first, second)
    ]
    if unpaired := sorted(figures[0] ^ figures[1]):
        incomplete = gain.second if unpaired[0] in figures[0] else gain.first
        raise ValueError(
            f"{incomplete} ({gain.protocol}) lacks the figure "
            f"{dict(zip(keys, unpaired[0], strict=True))} that it is to be compared on; evaluate "
            "both on the same domains and labelled subsets"
        )
