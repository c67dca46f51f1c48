"""Curves of results that a reader can take apart: over shares of labels, and over epochs."""

import pandas as pd

from companion.book.figures import accuracy
from companion.book.figures.convergence import STARTS, probe_name
from companion.book.figures.look import NOTHING_SAID, Initial, marks, present
from companion.book.widgets.curves import Axis, Facet, curves_html
from companion.evaluation.convergence import AUC

FIRST = ("standard", "plus", "counterfactual", "oracle")  # shown before anything is chosen


def label_efficiency(
    results: pd.DataFrame,
    objective: str,
    n_classes: int = 2,
    initial: Initial = NOTHING_SAID,
) -> str:
    """ROC-AUC over the share of labels, as HTML (`companion.book.widgets.curves`).

    Args:
        results: rows of `results.csv` of one cohort; values of probe seeds are averaged.
        objective: whose encoders to draw.
        n_classes: of the cohort.
        initial: what the encoders start from, `PretrainingOptions.initial_weights`.

    Returns:
        The curves; '' where no encoder of the objective was trained.
    """
    if objective not in set(results["objective"]):
        return ""
    rows, _ = accuracy.auc_rows(results, objective)
    keys = ["strategy", "protocol", "domain", "pretrain_seed", "label_fraction"]
    table = rows.groupby(keys, sort=False)[["value", "ci_low", "ci_high"]].mean().reset_index()
    table["percent"] = 100 * table["label_fraction"]
    look = marks(objective, initial)
    strategies = present(table["strategy"])
    domains = [*dict.fromkeys(table["domain"])]
    protocols = [name for name in accuracy.PROTOCOLS if name in set(table["protocol"])]
    seeds = sorted(table["pretrain_seed"].unique())
    facets = [
        Facet(
            "strategy",
            "Pairs",
            "colour",
            {name: look[name].label for name in strategies},
            off=[name for name in strategies if name not in FIRST],
            marks=look,
        ),
        Facet("domain", "Test images of", "panel", {name: name for name in domains}),
        Facet(
            "protocol",
            "Protocol",
            "dash",
            {name: accuracy.PROTOCOLS[name] for name in protocols},
            off=protocols[1:],
        ),
        Facet("pretrain_seed", "Pretraining seeds", "mean", {seed: str(seed) for seed in seeds}),
    ]
    counts = rows.groupby("label_fraction")["n_labels"].mean()
    percents = [100 * float(share) for share in counts.index]
    ticks = [
        (round(percent, 4), f"{percent:g}", f"{percent:g} % ({n:.0f} images)")
        for percent, n in zip(percents, counts, strict=True)
    ]
    axis = Axis("percent", "labels used [%]", ticks=ticks, log=True)
    return curves_html(
        table, facets, axis, measure=accuracy.measure(n_classes), reference="standard"
    )


def training_length(history: pd.DataFrame | None) -> str:
    """Validation AUC over the epochs of long trainings, as HTML (`companion.book.widgets.curves`).

    Args:
        history: `length.csv` of `companion.experiments.length`; None where nobody trained for so
            long.

    Returns:
        The curves; '' without any.
    """
    if history is None:
        return ""
    columns = [name for name in history.columns if name.startswith(AUC)]
    table = history.melt(["epoch", "start", "strategy", "seed"], columns, "probe")
    table = table.dropna(subset="value").assign(ci_low=None, ci_high=None)
    table["epoch"] += 1  # epochs that were trained
    look = marks("simclr")
    strategies = present(table["strategy"])
    seeds = sorted(table["seed"].unique())
    facets = [
        Facet("strategy", "Pairs", "colour", {s: look[s].label for s in strategies}, marks=look),
        Facet(
            "probe",
            "Validation images of",
            "panel",
            {name: probe_name(name) for name in columns},
            off=columns[1:],
        ),
        Facet("start", "From", "dash", STARTS),
        Facet("seed", "Pretraining seeds", "mean", {seed: str(seed) for seed in seeds}),
    ]
    axis = Axis("epoch", "epoch of one schedule", each="epoch")
    return curves_html(table, facets, axis, measure="Validation AUC", reference="standard")
