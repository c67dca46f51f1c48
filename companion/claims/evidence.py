"""What claims are tested on, and the effect that each kind of test measures on it."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ccl.files import HISTORY_FILE
from companion.claims.contrasts import (
    Effect,
    NotTestedError,
    Setting,
    auc_effect,
    checked_results,
    contrast,
)
from companion.claims.estimates import Estimate, mean_over_seeds
from companion.claims.ledger import (
    CostTest,
    DifferenceTest,
    Encoder,
    GainTest,
    Ledger,
    QualityTest,
    SeparabilityTest,
    Test,
    encoders_of,
)
from companion.cohorts.cohort import Cohort
from companion.engine import pointers
from companion.engine.csv_files import read_table
from companion.engine.runs import Run
from companion.evaluation.convergence import KEYS, convergence
from companion.evaluation.cost import whole_record
from companion.strategies import BASE, STRATEGIES, BankOf, bank_of, with_seed

Records = Sequence[Mapping[str, Any]]  # of finished steps


@dataclass(frozen=True)
class Evidence:
    """The results of one experiment.

    Attributes:
        setting: the cohort's.
        results: `results.csv`, of `checked_results`.
        quality: `quality.csv` of each training of the generator, with its `generator`, or None.
        separability: `separability.csv`, how well embeddings tell scanners apart, or None.
        records: of the finished steps, of `companion.evaluation.cost.whole_record`.
        history: of every pretraining, with `objective`, `strategy` and `seed`, or None.
    """

    setting: Setting
    results: pd.DataFrame
    quality: pd.DataFrame | None = None
    separability: pd.DataFrame | None = None
    records: Records = ()
    history: pd.DataFrame | None = None

    @cached_property
    def evaluated(self) -> set[tuple[Any, ...]]:
        """Objective, strategy and seed of what `results` are of.

        Records and histories may be left of others, such as seeds that a profile no longer has.
        """
        columns = ["objective", "strategy", "pretrain_seed"]
        return set(self.results[columns].itertuples(index=False, name=None))

    @cached_property
    def trainings(self) -> dict[tuple[Any, ...], Mapping[str, Any]]:
        """The record of the pretraining of each of these, where there was one."""
        # Others are of the same name: those that show how long to train.
        long = {
            digest
            for record in self.records
            if record["step"] == "length"
            for digest in record["inputs"].values()
        }
        return {
            key: record
            for record in self.records
            if record["step"] == "pretraining" and record["digest"] not in long
            for key in self.evaluated
            if key[0] in record["options"]
            and key[1:] == (record["options"]["strategy"], record["options"]["seed"])
        }

    @cached_property
    def convergence(self) -> pd.DataFrame:
        """Table of `companion.evaluation.convergence.convergence` for each of these."""
        options = [record["options"] for record in self.trainings.values()]
        margins = {each["convergence"]["margin"] for each in options if "convergence" in each}
        table = convergence(self.history, min(margins, default=math.nan))
        return table[pd.MultiIndex.from_frame(table[list(KEYS)]).isin(list(self.evaluated))]


def read_evidence(root: Path) -> Evidence:
    """The results of an experiment, read from its files.

    Args:
        root: folder of the runs of one profile and cohort.

    Raises:
        FileNotFoundError: there are no results yet.
        ValueError: a file is not what it should be; names it.
    """
    file, separability = root / "results.csv", root / "separability.csv"
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: run `make results` first")
    runs = pointers.finished_runs(root)
    setting = Setting.of(Cohort.load(pointers.read_pointer(root, "cohort").folder))
    results = checked_results(read_table(file), setting, str(file))
    return Evidence(
        setting,
        results,
        _judged(runs, set(results["pretrain_seed"])),
        read_table(separability) if separability.is_file() else None,
        [whole_record(run) for run in runs.values()],
        _histories(runs),
    )


def _judged(runs: Mapping[str, Run], seeds: Set[int]) -> pd.DataFrame | None:
    """`quality.csv` of the first training of the generator and of some seeds'."""
    wanted, tables = {with_seed(BASE, seed) for seed in {0, *seeds}}, []
    for name, run in runs.items():
        step, _, variant = name.partition("-")
        generator = variant or BASE
        if step == "quality" and generator in wanted:
            tables.append(read_table(run.folder / "quality.csv").assign(generator=generator))
    return pd.concat(tables, ignore_index=True) if tables else None


def _histories(runs: Mapping[str, Run]) -> pd.DataFrame | None:
    """The histories of finished pretrainings, with `objective`, `strategy` and `seed`."""
    tables = []
    for name, run in runs.items():
        if name.startswith("pretraining-"):
            columns = dict(zip(KEYS, name.split("-")[1:], strict=True))
            tables.append(read_table(run.folder / HISTORY_FILE).assign(**columns))
    return pd.concat(tables, ignore_index=True).astype({"seed": int}) if tables else None


def measure(test: Test, ledger: Ledger, evidence: Evidence) -> Effect:
    """The effect that a test is about.

    Raises:
        NotTestedError: what it speaks of was not run.
        ValueError: a table lacks what it should have, or the contrast is empty.
    """
    effect, encoders = _effect(test, ledger, evidence), encoders_of(test)
    taught = [ledger.encoders[name] for name in encoders if _bank(ledger.encoders[name])]
    shared = [each for each in taught if _share_a_bank(each, evidence)]
    covers = effect.covers
    if taught and not shared:
        covers = covers.replace("pretraining seeds", "seeds of generator and pretraining")
    return replace(
        effect,
        covers=covers,
        one_generator=effect.one_generator or bool(shared),
        unconverged=_unconverged(encoders, ledger, evidence.convergence),
    )


def _effect(test: Test, ledger: Ledger, evidence: Evidence) -> Effect:
    match test:
        case GainTest() | DifferenceTest():
            weights = contrast(evidence.results, test, ledger.encoders, evidence.setting)
            return auc_effect(evidence.results, weights)
        case QualityTest():
            return _quality(test, evidence.quality)
        case SeparabilityTest():
            return _separability(test, ledger, evidence.separability)
        case CostTest():
            return _cost(test, ledger.encoders[test.encoder], evidence)


def _bank(encoder: Encoder) -> BankOf | None:
    """The bank that an encoder learned from, if a generator made it."""
    bank = bank_of(encoder.strategy) if encoder.strategy in STRATEGIES else None
    return bank if bank is not None and bank.variant is not None else None


def _share_a_bank(encoder: Encoder, evidence: Evidence) -> bool:
    """Whether pretraining seeds drew from one bank, so that its generator was trained once."""
    trainings = _trainings(encoder, evidence)
    banks = {record.get("inputs", {}).get("bank") for record in trainings}
    return len(banks) < max(2, len(trainings))


def _trainings(encoder: Encoder, evidence: Evidence) -> list[Mapping[str, Any]]:
    of = (encoder.objective, encoder.strategy)
    return [record for key, record in evidence.trainings.items() if key[:2] == of]


def _unconverged(
    names: Sequence[str], ledger: Ledger, convergence: pd.DataFrame
) -> tuple[str, ...]:
    """Those of some encoders of which a seed had not converged."""
    learning = convergence[convergence["converged"].eq(False)]
    unconverged = set(zip(learning["objective"], learning["strategy"], strict=True))
    encoders = {name: ledger.encoders[name] for name in names}
    return tuple(n for n, of in encoders.items() if (of.objective, of.strategy) in unconverged)


def _quality(test: QualityTest, quality: pd.DataFrame | None) -> Effect:
    if quality is None:
        raise NotTestedError("there is no quality.csv")
    key = {"measure": test.measure, "images": "counterfactual", "source": "all", "target": "all"}
    rows = quality[(quality[list(key)] == pd.Series(key)).all(axis=1)]
    generators = quality["generator"].nunique()
    if len(rows) != generators or rows[["value", "ci_low", "ci_high"]].isna().any(axis=None):
        raise ValueError(
            f"quality.csv: expected one row with figures for {key} of each of {generators} "
            f"generators, found {len(rows)}; it has the measures {sorted(set(quality['measure']))}"
        )
    n = int(rows["n"].iloc[0])
    if generators > 1:
        estimate, covers = mean_over_seeds(rows["value"].to_numpy()), "other seeds of the generator"
        return Effect(estimate, generators, n, "share", f"{covers}, on these test patients")
    value, low, high = (float(rows[name].iloc[0]) for name in ("value", "ci_low", "ci_high"))
    return Effect(
        Estimate(value, ci95=(low, high)),
        seeds=0,
        n=n,
        unit="share",
        covers="other test patients, for this generator",
        one_generator=True,
    )


def _separability(test: SeparabilityTest, ledger: Ledger, table: pd.DataFrame | None) -> Effect:
    if table is None:
        raise NotTestedError("there is no separability.csv")
    if table.empty:
        raise NotTestedError("the test images are of one scanner, or of too few patients")
    rows_of_measure = table[table["measure"] == test.measure]
    if rows_of_measure.empty and test.where_known:
        raise NotTestedError(f"the images of this cohort have no {test.measure}")
    if rows_of_measure.empty:
        raise ValueError(
            f"separability.csv: no row has the measure '{test.measure}'; it has "
            f"{sorted(set(table['measure']))}"
        )
    first, second = (
        _by_seed(rows_of_measure, name, ledger.encoders[name]) for name in (test.first, test.second)
    )
    seeds = first.index.intersection(second.index)
    if seeds.empty:
        raise ValueError(
            f"empty contrast: {test.first} and {test.second} have no pretraining seed in common "
            "in separability.csv"
        )
    estimate = mean_over_seeds((first[seeds] - second[seeds]).to_numpy())
    return Effect(
        estimate,
        len(seeds),
        int(rows_of_measure["n"].max()),
        unit="difference",
        covers=_over_seeds(len(seeds), "on these test patients"),
    )


def _by_seed(table: pd.DataFrame, name: str, encoder: Encoder) -> pd.Series:
    is_encoder = table[["objective", "strategy"]] == pd.Series(encoder.model_dump())
    rows = table[is_encoder.all(axis=1)]
    if rows.empty:
        raise NotTestedError(f"separability.csv has no figures of {name}")
    if rows["pretrain_seed"].duplicated().any():
        raise ValueError(f"separability.csv: {name} has two figures of one pretraining seed")
    return rows.set_index("pretrain_seed")["value"]


def _over_seeds(seeds: int, where: str) -> str:
    """What an interval is over; '' for one seed, which has none."""
    return f"other pretraining seeds, {where}" if seeds > 1 else ""


def _cost(test: CostTest, encoder: Encoder, evidence: Evidence) -> Effect:
    if _bank(encoder) is None:
        raise NotTestedError(f"{test.encoder} was not pretrained on pairs of a generator")
    shares = [
        _seconds_before(record, evidence.records) / _seconds(record)
        for record in _trainings(encoder, evidence)
    ]
    if not shares:
        raise NotTestedError(f"there are no times of the pretraining of {test.encoder}")
    return Effect(
        mean_over_seeds(shares),
        len(shares),
        len(shares),
        unit="times",
        covers=_over_seeds(len(shares), "on this machine"),
    )


def _seconds_before(training: Mapping[str, Any], records: Records) -> float:
    """Seconds of the bank that a pretraining drew its pairs from, and of its generator."""
    by_digest = {record["digest"]: record for record in records}
    bank = by_digest.get(training.get("inputs", {}).get("bank"))
    generator = by_digest.get(bank["inputs"].get("generator")) if bank else None
    if bank is None or generator is None:
        raise NotTestedError(
            "there are no times of generator and bank behind the pretraining "
            f"'{training.get('label', '')}'"
        )
    return _seconds(bank) + _seconds(generator)


def _seconds(record: Mapping[str, Any]) -> float:
    if record.get("continued"):
        raise NotTestedError(
            f"step '{record['step']}' ({record.get('digest')}) was interrupted, and what it took "
            "before that is not known"
        )
    return float(record["seconds"])
