"""Made-up results of an experiment whose effects are known."""

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from companion.claims.contrasts import Setting, checked_results
from companion.claims.evidence import Evidence
from companion.evaluation.results import RESULT_COLUMNS

SETTING = Setting("made-up", ("A", "B"), ("C",))  # A is the common scanner, C held out
FRACTIONS = (0.05, 0.25, 1.0)
Gain = Callable[[str, float], float]


def constant(gain: float) -> Gain:
    """The same gain on every scanner and with every share of the labels."""
    return lambda domain, fraction: gain


NONE = constant(0.0)


def papers_shape(domain: str, fraction: float) -> float:
    """Gains as in the paper: larger on rare and held-out scanners, and with few labels."""
    return 0.02 + 0.03 * (domain != "A") + 0.02 * (fraction < 1)


def encoder(
    strategy: str,
    gain: Gain = NONE,
    *,
    objective: str = "simclr",
    protocol: str = "linear",
    subgroup: str = "all",
    test_cohort: str = "made-up",
    domains: Sequence[str] = ("A", "B", "C", "pooled"),
    fractions: Sequence[float] = FRACTIONS,
    seeds: Sequence[int] = (0, 1, 2),
    noise: float = 0.001,
) -> pd.DataFrame:
    """Rows of results.csv of one encoder: AUC 0.7 and the gain, 40 test images per scanner."""
    name = f"{objective} {strategy} {protocol} {subgroup} {test_cohort}"
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    rows = []
    for seed in seeds:
        for domain in domains:
            for fraction in fractions:
                for probe_seed in (0, 1) if fraction < 1 else (0,):
                    value = 0.7 + gain(domain, fraction) + rng.normal(0, noise)
                    rows.append(
                        {"pretrain_seed": seed, "probe_seed": probe_seed, "domain": domain}
                        | {"label_fraction": fraction, "n_labels": round(400 * fraction)}
                        | {"value": value, "ci_low": value - 0.02, "ci_high": value + 0.02}
                    )
    same = {"objective": objective, "strategy": strategy, "protocol": protocol}
    same |= {"cohort": "made-up", "test_cohort": test_cohort, "subgroup": subgroup}
    return pd.DataFrame(rows).assign(**same, metric="roc_auc", n=40)[list(RESULT_COLUMNS)]


def results(*encoders: pd.DataFrame) -> pd.DataFrame:
    """A whole results.csv."""
    return pd.concat(encoders, ignore_index=True)


def papers_results(seeds: Sequence[int] = (0, 1, 2)) -> pd.DataFrame:
    """SimCLR, SimCLR+ and a CF-SimCLR that gains as in the paper."""
    return results(
        encoder("standard", seeds=seeds),
        encoder("plus", seeds=seeds),
        encoder("counterfactual", papers_shape, seeds=seeds),
    )


def quality(share: float = 0.97, generator: str = "base") -> pd.DataFrame:
    """quality.csv of a generator with the effectiveness over all targets and on one."""
    row = {"measure": "effectiveness", "images": "counterfactual", "source": "all", "target": "all"}
    row |= {"value": share, "ci_low": share - 0.02, "ci_high": share + 0.01, "n": 80}
    row |= {"generator": generator}
    return pd.DataFrame([row, row | {"target": "B", "value": 0.1}])


def records(
    generator: float = 30,
    bank: float = 10,
    pretrain: Sequence[float] = (100, 110, 105),
    generators: int = 1,
) -> list[dict[str, Any]]:
    """run.json of the steps that cost time; pretrainings share the generators in turn."""
    made = [{"step": "bank", "digest": "sex", "inputs": {}, "seconds": 1000}]  # another strategy's
    for seed in range(generators):
        maker = f"generator {seed}"
        made += [
            {"step": "generator", "digest": maker, "seconds": generator},
            {
                "step": "bank",
                "digest": f"bank {seed}",
                "inputs": {"generator": maker},
                "seconds": bank,
            },
        ]
    options = {"simclr": {}, "strategy": "counterfactual"}
    return made + [
        {
            "step": "pretraining",
            "digest": f"pretraining {seed}",
            "inputs": {"bank": f"bank {seed % generators}"},
            "options": options | {"seed": seed},
            "seconds": each,
        }
        for seed, each in enumerate(pretrain)
    ]


def evidence(table: pd.DataFrame, **others: object) -> Evidence:
    """Evidence on made-up results."""
    return Evidence(SETTING, checked_results(table, SETTING, "results.csv"), **others)
