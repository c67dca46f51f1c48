"""What the quality of counterfactuals buys: error of what is paired against the encoder's gain."""

from collections.abc import Mapping, Sequence

import pandas as pd

from companion.claims.contrasts import Setting
from companion.engine.csv_files import read_table
from companion.experiments.config import Experiment
from companion.experiments.quality import measure_quality
from companion.quality.summary import ALL
from companion.strategies import Objective, generator_of

UNPAIRED = "standard"  # pairs of two views of the real image, which is left alone


def qualities(experiment: Experiment, objective: Objective) -> dict[str, pd.DataFrame]:
    """`quality.csv` of the generators behind an objective's counterfactual pairs, by strategy."""
    tables = {}
    for strategy in experiment.pretraining.strategies[objective]:
        variant = generator_of(strategy)
        if variant is not None:
            tables[strategy] = read_table(
                measure_quality(experiment, variant).folder / "quality.csv"
            )
    return tables


def pairing_errors(qualities: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Gold error of what every strategy pairs an image with, in grey levels of 255.

    Of those with `qualities`, of 'standard' (the image left alone) and 'oracle' (the truth itself).
    """
    errors = {name: _pooled(quality, "counterfactual") for name, quality in qualities.items()}
    untouched = _pooled(next(iter(qualities.values())), "untouched")
    return {UNPAIRED: untouched, **errors, "oracle": 0.0}


def gain_against_error(
    results: pd.DataFrame,
    error: Mapping[str, float],
    setting: Setting,
    objective: str = "simclr",
) -> pd.DataFrame:
    """Gain of every strategy over unpaired views where domain shift hurts, beside its gold error.

    Args:
        results: rows of `results.csv` of one cohort.
        error: of `pairing_errors`; strategies without results are left out.
        setting: which scanner is the rarest, and which are held out.
        objective: whose encoders.

    Returns:
        Rows `strategy`, `seed`, `where` ('rarest scanner', 'held-out scanners'), `error`, and
        `gain`: difference in ROC-AUC of linear probes, same seeds and labels, mean over shares of
        labels, scanners and probes.
    """
    keys = ["pretrain_seed", "probe_seed", "label_fraction", "domain"]
    auc_rows = results[
        (results["objective"] == objective)
        & (results["protocol"] == "linear")
        & (results["metric"] == "roc_auc")
        & (results["subgroup"] == "all")
    ]
    auc = auc_rows.pivot_table(index=keys, columns="strategy", values="value")
    domains_by_place = {
        "rarest scanner": setting.scanners[-1:],
        "held-out scanners": setting.held_out,
    }
    rows = []
    for strategy in (name for name in error if name in auc):
        gain = (auc[strategy] - auc[UNPAIRED]).dropna()
        for where, domains in domains_by_place.items():
            for seed, value in _by_seed(gain, domains).items():
                rows.append((strategy, seed, where, error[strategy], value))
    return pd.DataFrame(rows, columns=["strategy", "seed", "where", "error", "gain"])


def _by_seed(gain: pd.Series, domains: Sequence[str]) -> dict[int, float]:
    selected = gain[gain.index.get_level_values("domain").isin(domains)]
    means = selected.groupby("pretrain_seed").mean()
    return {int(seed): float(value) for seed, value in means.items()}  # type: ignore[call-overload]


def _pooled(quality: pd.DataFrame, images: str) -> float:
    rows = quality[
        (quality["measure"] == "gold_error")
        & (quality["images"] == images)
        & (quality["source"] == ALL)
        & (quality["target"] == ALL)
    ]
    return float(rows["value"].item())
