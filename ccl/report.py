"""Pages of the book that are made from what was computed: the claims so far, and the status."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from ccl import cohorts
from ccl.cohorts import Cohort

if TYPE_CHECKING:
    from ccl.config import Experiment

HOLDS = "holds here"
FAILS = "does not hold here"
UNDECIDED = "undecided"
UNTESTED = "not tested here"

DECEIVED = 0.9  # share of counterfactuals that must pass as their target scanner (C1)

Weights = Mapping[tuple[str, str, float], float]  # (strategy, domain, label fraction) -> weight


@dataclass(frozen=True)
class Setting:
    """What the claims are asked about.

    Attributes:
        scanners: pretraining scanners, from the one with the most training images to the rarest.
        held_out: scanners that neither generator nor encoder saw.
        fractions: label fractions, ascending.
    """

    scanners: tuple[str, ...]
    held_out: tuple[str, ...]
    fractions: tuple[float, ...]


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, as a weighted sum of ROC-AUCs that should be above zero.

    Attributes:
        name: C1 ... C14.
        statement: the claim, in short.
        contrast: what is measured, in words.
        weights: the weighted sum, or None where it is not measured from results.csv.
        everywhere: whether the claim says that it holds at each label fraction.
    """

    name: str
    statement: str
    contrast: str = ""
    weights: Callable[[Setting], Weights] | None = None
    everywhere: bool = False


def gain(
    domains: Sequence[str], fractions: Sequence[float], *, over: str = "standard"
) -> dict[tuple[str, str, float], float]:
    """Weights of the mean AUC gain of CF-SimCLR over another strategy."""
    share = 1 / max(1, len(domains) * len(fractions))
    return {
        (strategy, domain, fraction): sign * share
        for strategy, sign in (("counterfactual", 1.0), (over, -1.0))
        for domain in domains
        for fraction in fractions
    }


def _minus(first: Weights, second: Weights) -> Weights:
    cells = dict.fromkeys([*first, *second])
    return {cell: first.get(cell, 0.0) - second.get(cell, 0.0) for cell in cells}


def _domains(setting: Setting) -> tuple[str, ...]:
    return setting.scanners + setting.held_out


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "C1",
        "Domain counterfactuals deceive a scanner classifier",
        f"share seen as the target scanner; the bar is {DECEIVED:.0%}",
    ),
    Claim(
        "C2",
        "CF-SimCLR beats SimCLR at every label fraction",
        "AUC gain, mean over scanners and label fractions",
        lambda s: gain(_domains(s), s.fractions),
        everywhere=True,
    ),
    Claim(
        "C3",
        "The gain is largest for rare scanners",
        "AUC gain on the rarest pretraining scanner minus on the commonest",
        lambda s: _minus(gain(s.scanners[-1:], s.fractions), gain(s.scanners[:1], s.fractions)),
    ),
    Claim(
        "C4",
        "The gain is largest with few labels",
        "AUC gain at the smallest label fraction minus at the largest",
        lambda s: _minus(gain(_domains(s), s.fractions[:1]), gain(_domains(s), s.fractions[-1:])),
    ),
    Claim("C5", "It holds, smaller, under full finetuning"),
    Claim(
        "C6",
        "The gain carries to images that neither generator nor encoder saw",
        "AUC gain on held-out scanners (the probe's labels come from pretraining scanners)",
        lambda s: gain(s.held_out, s.fractions),
    ),
    Claim("C7", "The same holds for DINO-v2, and the gap between scanners closes"),
    Claim(
        "C8",
        "Pairing matters: CF-SimCLR beats SimCLR+",
        "AUC gain over SimCLR+, mean over scanners and label fractions",
        lambda s: gain(_domains(s), s.fractions, over="plus"),
    ),
    Claim("C9", "Self-supervised pretraining beats supervised ImageNet weights"),
    Claim("C10", "CF-SimCLR embeddings cluster less by scanner"),
    Claim("C11", "The generator costs little beside pretraining"),
    Claim("C12", "Counterfactuals of sex raise the AUC of both sexes"),
    Claim("C13", "Better counterfactuals give better representations"),
    Claim("C14", "CheXpert is the exception: CF-DINO slightly below DINO"),
)


@dataclass(frozen=True)
class Estimate:
    """An effect with its 95 % interval and the number of pretraining seeds behind it."""

    value: float
    low: float
    high: float
    seeds: int


def claims_so_far(results: pd.DataFrame, quality: pd.DataFrame, cohort: Cohort) -> pd.DataFrame:
    """What the results say about each claim of the paper.

    Args:
        results: `results.csv` of one cohort.
        quality: counterfactual quality: columns `measure`, `images`, `target`, `value`, `ci_low`,
            `ci_high`; may be empty.
        cohort: names the scanners and counts their training images.

    Returns:
        One row per claim: `claim`, `statement`, `contrast`, `unit` ('AUC', 'share' or ''),
        `effect`, `ci_low`, `ci_high` (NaN where not tested), `seeds`, `verdict`.
    """
    auc = results[
        (results["metric"] == "roc_auc")
        & (results["subgroup"] == "all")
        & (results["protocol"] == "linear")
    ]
    setting = _setting(auc, cohort)
    rows = [_row(claim, auc, quality, setting) for claim in CLAIMS]
    return pd.DataFrame(rows)


def _setting(auc: pd.DataFrame, cohort: Cohort) -> Setting:
    train = cohort.table.loc[cohort.table["split"] == "train", "scanner"].value_counts()
    order = sorted(cohort.scanners, key=lambda scanner: -int(train.get(scanner, 0)))
    present = set(auc["domain"])
    return Setting(
        tuple(scanner for scanner in order if scanner in present),
        tuple(scanner for scanner in cohort.held_out_scanners if scanner in present),
        tuple(sorted(auc["label_fraction"].unique())),
    )


def _row(
    claim: Claim, auc: pd.DataFrame, quality: pd.DataFrame, setting: Setting
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "claim": claim.name,
        "statement": claim.statement,
        "contrast": claim.contrast,
        "unit": "",
        "effect": np.nan,
        "ci_low": np.nan,
        "ci_high": np.nan,
        "seeds": 0,
        "verdict": UNTESTED,
    }
    if claim.name == "C1":
        found, bar, unit, consistent = effectiveness(quality), DECEIVED, "share", True
    elif claim.weights is not None:
        found, bar, unit = contrast(auc, claim.weights(setting)), 0.0, "AUC"
        consistent = not claim.everywhere or _positive_everywhere(auc, setting)
    else:
        return row
    if found is None:
        return row
    verdict = HOLDS if found.low > bar and consistent else UNDECIDED
    verdict = FAILS if found.high < bar else verdict
    return row | {
        "unit": unit,
        "effect": found.value,
        "ci_low": found.low,
        "ci_high": found.high,
        "seeds": found.seeds,
        "verdict": verdict,
    }


def _positive_everywhere(auc: pd.DataFrame, setting: Setting) -> bool:
    gains = (contrast(auc, gain(_domains(setting), (f,))) for f in setting.fractions)
    return all(found is not None and found.value > 0 for found in gains)


def effectiveness(quality: pd.DataFrame) -> Estimate | None:
    """Share of counterfactuals seen as their target scanner, or None where it is not there."""
    if quality.empty:
        return None
    rows = quality[
        (quality["measure"] == "effectiveness") & (quality["images"] == "counterfactual")
    ]
    pooled = rows[rows["target"] == "all"]
    mean = (pooled if len(pooled) else rows)[["value", "ci_low", "ci_high"]].mean()
    if mean.isna().any():
        return None
    return Estimate(float(mean["value"]), float(mean["ci_low"]), float(mean["ci_high"]), 1)


def contrast(auc: pd.DataFrame, weights: Weights) -> Estimate | None:
    """A weighted sum of AUCs with a 95 % interval, or None where a cell is missing.

    With several pretraining seeds the interval is Student's t over the seeds' own contrasts. With
    one seed it comes from the patient-bootstrap intervals of the cells, taken as fully dependent
    over label fractions and independent otherwise; both err on the wide side, since strategies
    are compared on the same patients.

    Args:
        auc: rows of `results.csv`.
        weights: (strategy, domain, label fraction) to weight.
    """
    keys = ["strategy", "domain", "label_fraction"]
    cells = pd.MultiIndex.from_tuples([*weights], names=keys) if weights else None
    if cells is None:
        return None
    by_seed = auc.groupby([*keys, "pretrain_seed"])["value"].mean().unstack("pretrain_seed")
    by_seed = by_seed.reindex(cells).dropna(axis=1)  # seeds that have every cell
    if by_seed.shape[1] == 0:
        return None
    w = pd.Series(list(weights.values()), index=cells)
    effects = by_seed.mul(w, axis=0).sum(axis=0).to_numpy()
    n = len(effects)
    if n > 1:
        half = float(stats.t.ppf(0.975, n - 1) * effects.std(ddof=1) / np.sqrt(n))
    else:
        bounds = auc.groupby(keys)[["ci_low", "ci_high"]].mean().reindex(cells)
        halves = (bounds["ci_high"] - bounds["ci_low"]) / 2
        per_curve = (w.abs() * halves).groupby(level=["strategy", "domain"]).sum()
        half = float(np.sqrt((per_curve**2).sum()))
    value = float(effects.mean())
    return Estimate(value, value - half, value + half, n)


# Markdown


def escape(text: object) -> str:
    """Text that Markdown and HTML show as it is."""
    return "".join(f"&#{ord(c)};" if c in "\\`*_{}[]<>|$#&~^:@\"'\n\r" else c for c in str(text))


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; every cell is escaped."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(escape(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def claims_page(claims: pd.DataFrame, cohort: Cohort, profile: str) -> str:
    """The claim table as Markdown, to be included in the landing page."""
    tested = claims[claims["verdict"] != UNTESTED]
    later = claims[claims["verdict"] == UNTESTED]
    seeds = max((int(n) for n in tested.loc[tested["unit"] == "AUC", "seeds"]), default=0)
    interval = (
        "Student's t over pretraining seeds, on these test patients"
        if seeds > 1
        else "from the patient bootstrap, on the wide side"
    )
    text = (
        f"Cohort {escape(cohort.name)}, profile {escape(profile)}; pretraining seeds: {seeds}. "
        f"Intervals of AUC gains: 95 %, {interval}.\n\n"
    )
    if len(tested):
        text += _claims_table(tested)
    if len(later):
        text += f"\n{UNTESTED.capitalize()}:\n\n"
        text += "\n".join(
            f"- {row['claim']}: {escape(row['statement'])}" for row in later.to_dict("records")
        )
        text += "\n"
    return text + _caveats(cohort)


def _claims_table(tested: pd.DataFrame) -> str:
    """Three columns, so that a phone can show them."""
    lines = ["| The paper says | Effect here | Verdict |", "| --- | --- | --- |"]
    for row in tested.to_dict("records"):
        says = f"**{row['claim']}** {escape(row['statement'])}<br>*{escape(row['contrast'])}*"
        lines.append(f"| {says} | {_effect(row)} | {row['verdict']} |")
    return "\n".join(lines) + "\n"


def _effect(row: Mapping[Any, Any]) -> str:
    value, low, high = (float(row[name]) for name in ("effect", "ci_low", "ci_high"))
    if row["unit"] == "share":
        return f"{value:.1%}<br>({low:.1%} to {high:.1%})"
    return f"{value:+.3f}<br>({low:+.3f} to {high:+.3f})"


def _caveats(cohort: Cohort) -> str:
    caveats = cohort.info.get("caveats", [])
    if not caveats:
        return ""
    lines = "\n".join(f"- {escape(caveat)}" for caveat in caveats)
    return f"\n```{{admonition}} About this cohort\n:class: note\n{lines}\n```\n"


def status_page(
    runs: Sequence[Mapping[str, Any]], notebooks: Mapping[str, Mapping[str, Any]]
) -> str:
    """Versions, times and digests of everything that the book shows, as Markdown.

    Args:
        runs: the parsed `run.json` of each finished step.
        notebooks: name to the `papermill` metadata of each executed notebook.
    """
    text = "# Status\n\nWhat this book was built from. Equal digests mean equal options, inputs"
    text += " and code.\n\n## Steps\n\n"
    text += table(
        ("Step", "Digest", "Time [s]", "Peak memory [MiB]", "Finished [UTC]"),
        [
            (
                f"{run.get('cohort', '')}: {run['step']} {run.get('label', '')}".strip(),
                run["digest"],
                f"{run['seconds']:.1f}",
                run["peak_memory_mib"],
                _minute(run["finished"]),
            )
            for run in runs
        ],
    )
    text += "\n## Notebooks\n\n"
    text += table(
        ("Notebook", "Time [s]", "Executed [UTC]"),
        [
            (
                name,
                f"{meta.get('duration') or float('nan'):.1f}",
                _minute(meta.get("end_time", "")),
            )
            for name, meta in notebooks.items()
        ],
    )
    text += "\n## Environment\n\n"
    return text + table(("What", "Which"), _environment(runs))


def _minute(time: object) -> str:
    """An ISO time down to the minute."""
    return str(time)[:16].replace("T", " ")


def _environment(runs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Each fact once, with all its values where steps were made in different environments."""
    facts: dict[str, list[str]] = {}
    for run in runs:
        here = {name: run[name] for name in ("python", "git_revision", "device") if name in run}
        for name, value in {**here, **run.get("versions", {})}.items():
            values = facts.setdefault(name.replace("_", " "), [])
            if str(value) not in values:
                values.append(str(value))
    return [(name, ", ".join(values)) for name, values in facts.items()]


# From an experiment's folders


def pages(main: "Experiment", beside: Sequence["Experiment"] = ()) -> dict[str, str]:
    """The generated pages of the book: file name in `book/executed/` to Markdown.

    Args:
        main: finished; its steps are found through `steps/*.json` in its root.
        beside: further finished experiments that the book shows.
    """
    experiments = (main, *beside)
    return {
        "claims.md": "\n".join(_claims_of(experiment) for experiment in experiments),
        "status.md": status_page(
            [record for experiment in experiments for record in _records(experiment)],
            {
                f"{experiment.cohort_name}: {path.stem}": json.loads(path.read_text())[
                    "metadata"
                ].get("papermill", {})
                for experiment in experiments
                for path in sorted((experiment.root / "notebooks").glob("*.ipynb"))
            },
        ),
    }


def _claims_of(experiment: "Experiment") -> str:
    root = experiment.root
    runs = finished_runs(root)
    cohort = cohorts.load(runs["cohort"])
    file = runs["quality"] / "quality.csv"
    quality = pd.read_csv(file, keep_default_na=False, na_values=[""])
    claims = claims_so_far(pd.read_csv(root / "results.csv"), quality, cohort)
    return claims_page(claims, cohort, experiment.profile_name)


def _records(experiment: "Experiment") -> list[dict[str, Any]]:
    folders = finished_runs(experiment.root).values()
    return [
        json.loads((folder / "run.json").read_text()) | {"cohort": experiment.cohort_name}
        for folder in folders
    ]


def finished_runs(root: Path) -> dict[str, Path]:
    """Name of each step to its finished folder, in the order in which they were finished."""
    pointers = sorted((root / "steps").glob("*.json"), key=lambda path: path.stat().st_mtime)
    return {path.stem: root / json.loads(path.read_text())["folder"] for path in pointers}
