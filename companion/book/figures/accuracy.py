"""How well classifiers do on each strategy's encoders."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from companion.book.figures.colours import CARD, INK
from companion.book.figures.look import (
    BASELINES,
    NOTHING_SAID,
    OBJECTIVES,
    Initial,
    Mark,
    NothingToDraw,
    add_legend,
    marks,
    name_outer,
    new_panels,
    not_trained,
    or_says_why,
    present,
    require,
    style,
)

Band = Literal["bootstrap", "seeds"]

TOO_FEW = "This cohort does not have enough test images of each group with each label."

PROTOCOLS = {"linear": "Linear probe", "finetuned": "Finetuned"}
LINES: dict[str, dict[str, Any]] = {
    "linear": {"linestyle": "-"},
    "finetuned": {"linestyle": "--", "markerfacecolor": CARD},
}
LABELS_USED = "labels used\n[%; below: images]"


@or_says_why
def label_efficiency(
    results: pd.DataFrame,
    *,
    objective: str | None = None,
    domains: Sequence[str] = (),
    subgroups: Sequence[str] = ("all",),
    band: Band | None = None,
    n_classes: int = 2,
    initial: Initial = NOTHING_SAID,
) -> Figure:
    """ROC-AUC over the share of labels, one panel per domain and subgroup, a colour per strategy.

    Solid lines are linear probes, dashed ones with hollow marks are finetuned.

    Args:
        results: rows of `results.csv` of one cohort.
        objective: whose encoders to draw, e.g. 'simclr'; may be None where there is only one.
        domains: domains to draw, in this order, where they occur; all that occur if empty.
        subgroups: of the test images, beside each other.
        band: 'bootstrap' = 95 % patient-bootstrap interval (averaged over seeds), 'seeds' =
            standard error over pretraining seeds; None = 'seeds' where every pretrained strategy
            has at least three, else 'bootstrap'. The figure says which it shows.
        n_classes: of the cohort; above two the measure is the macro average.
        initial: what the encoders start from, `PretrainingOptions.initial_weights`.
    """
    results, objective = auc_rows(results, objective, subgroups)
    domains = chosen_domains(results, domains)
    band = band or default_band(results)
    places = [(domain, subgroup) for domain in domains for subgroup in subgroups]
    with style():
        figure, panels = new_panels(len(places))
        for axes, (domain, subgroup) in zip(panels, places, strict=True):
            mine = (results["domain"] == domain) & (results["subgroup"] == subgroup)
            _draw_curves(axes, results[mine], marks(objective, initial), band)
            axes.set_title(domain if subgroup == "all" else f"{domain}, {subgroup}")
            _label_shares(axes, results)
        low = min(0.48, *(axes.get_ylim()[0] for axes in panels))
        high = max(axes.get_ylim()[1] for axes in panels)
        for axes in panels:
            axes.set_ylim(low, min(1.0, high))
        name_outer(panels, LABELS_USED, measure(n_classes))
        add_legend(figure, panels[0], band_label(results, band))
    return figure


@or_says_why
def gain(
    results: pd.DataFrame,
    *,
    against: str = "standard",
    objective: str | None = None,
    protocol: str = "linear",
    domains: Sequence[str] = (),
    n_classes: int = 2,
) -> Figure:
    """Difference in ROC-AUC to one strategy at each share of labels, one panel per domain.

    Encoders that no objective has pretrained are left out: their distance would flatten the rest.

    Args:
        results: rows of `results.csv` of one cohort.
        against: the strategy whose AUC is subtracted, seed by seed.
        objective: as for `label_efficiency`.
        protocol: 'linear' or 'finetuned'.
        domains: domains to draw, in this order, where they occur; all that occur if empty.
        n_classes: as for `label_efficiency`.
    """
    results, objective = auc_rows(results, objective)
    results = results[(results["protocol"] == protocol) & ~results["strategy"].isin(BASELINES)]
    name = OBJECTIVES.get(objective, objective)
    words = f"{PROTOCOLS[protocol]}: no {name} encoder in this profile."
    results = require(results, ("value",), "results.csv", words)
    domains = chosen_domains(results, domains)
    differences = _differences(results, against)
    mark = marks(objective)
    reference = mark[against]
    with style():
        figure, panels = new_panels(len(domains))
        for axes, domain in zip(panels, domains, strict=True):
            _draw_bars(axes, differences[differences["domain"] == domain], mark)
            axes.axhline(0, color=reference.colour, linewidth=1.5, label=reference.label)
            axes.set_title(domain)
            shares = shares_of_labels(results)
            axes.set_xticks(range(len(shares)), list(shares.values()), fontsize=8.5)
        limits = np.array([axes.get_ylim() for axes in panels])
        for axes in panels:
            axes.set_ylim(min(-0.01, limits.min()), max(0.01, limits.max()))
        name_outer(panels, LABELS_USED, f"{measure(n_classes)}\n− {reference.label}'s")
        add_legend(figure, panels[0], _gain_note(results, protocol), columns=2)
    return figure


def measure(n_classes: int) -> str:
    """Name of the measure, for axes."""
    return "ROC-AUC" if n_classes == 2 else "macro ROC-AUC"


def auc_rows(
    results: pd.DataFrame,
    objective: str | None,
    subgroups: Sequence[str] = ("all",),
    metric: str = "roc_auc",
) -> tuple[pd.DataFrame, str]:
    """The ROC-AUCs (or another metric) of one objective in some subgroups, and its name."""
    columns = ("objective", "strategy", "pretrain_seed", "protocol", "label_fraction", "n_labels")
    measured = ("domain", "subgroup", "metric", "value", "ci_low", "ci_high")
    results = require(results, columns + measured, "results.csv")
    rows = results[(results["metric"] == metric) & results["subgroup"].isin(list(subgroups))]
    require(rows, columns, "results.csv", TOO_FEW)
    known = list(dict.fromkeys(rows["objective"]))
    if objective is None and len(known) == 1:
        objective = known[0]
    if objective is None:
        raise ValueError(f"name one of the objectives in results.csv, objective={known}")
    if objective not in known:
        raise NothingToDraw(not_trained(objective))
    return rows[rows["objective"] == objective], objective


def chosen_domains(rows: pd.DataFrame, wanted: Sequence[str]) -> list[str]:
    """The wanted domains that occur, in this order; all that occur if none is named.

    A domain with few images has no figures of a group, or none at all.

    Raises:
        NothingToDraw: none of them occurs.
    """
    known = list(dict.fromkeys(rows["domain"]))
    found = [domain for domain in wanted or known if domain in known]
    if not found:
        raise NothingToDraw(TOO_FEW)
    return found


def default_band(results: pd.DataFrame) -> Band:
    """'seeds' where every pretrained strategy has three or more pretraining seeds."""
    pretrained = results[~results["strategy"].isin(BASELINES)]
    seeds = pretrained.groupby("strategy")["pretrain_seed"].nunique()
    return "seeds" if len(seeds) and int(seeds.min()) >= 3 else "bootstrap"


def band_label(results: pd.DataFrame, band: Band) -> str:
    """What the band of a figure means, in words."""
    if band == "seeds":
        return "band: standard error over pretraining seeds"
    several = results["pretrain_seed"].nunique() > 1
    return "band: 95 % patient bootstrap" + (", mean over seeds" if several else "")


def _draw_curves(axes: Axes, rows: pd.DataFrame, mark: Mapping[str, Mark], band: Band) -> None:
    if rows.empty:
        axes.text(0.5, 0.7, "too few images", transform=axes.transAxes, ha="center")
    protocols = [protocol for protocol in PROTOCOLS if protocol in set(rows["protocol"])]
    for strategy in present(rows["strategy"]):
        label: str | None = mark[strategy].label
        for protocol in protocols:
            mine = rows[(rows["strategy"] == strategy) & (rows["protocol"] == protocol)]
            if len(mine):
                _draw_curve(axes, mine, mark[strategy], band, label, LINES[protocol])
                label = None  # once in the legend
    if protocols != ["linear"]:
        for protocol in protocols:
            axes.plot([], [], color=INK, marker="o", label=PROTOCOLS[protocol], **LINES[protocol])
    axes.axhline(0.5, color=INK, linestyle=":", linewidth=1.5, label="Chance")


def _draw_curve(
    axes: Axes,
    rows: pd.DataFrame,
    mark: Mark,
    band: Band,
    label: str | None,
    line: Mapping[str, Any],
) -> None:
    if band == "seeds":  # average the probe seeds first: the pretraining seeds are the sample
        centre, error = over_seeds(rows, "value")
        low, high = centre - error, centre + error
    else:
        centre, low, high = bootstrapped(rows)
    x = 100 * centre.index.to_numpy(dtype=float)
    axes.plot(
        x,
        centre,
        color=mark.colour,
        marker=mark.marker,
        markersize=5,
        linewidth=mark.width,
        label=label,
        **line,
    )
    axes.fill_between(x, low, high, color=mark.colour, alpha=0.12, linewidth=0)


def bootstrapped(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Value and bootstrap interval, each averaged over the seeds, by label fraction."""
    table = rows.groupby("label_fraction")[["value", "ci_low", "ci_high"]].mean()
    return table["value"], table["ci_low"], table["ci_high"]


def over_seeds(rows: pd.DataFrame, column: str) -> tuple[pd.Series, pd.Series]:
    """Mean and standard error over pretraining seeds, by label fraction."""
    by_seed = rows.groupby(["label_fraction", "pretrain_seed"])[column].mean()
    groups = by_seed.groupby("label_fraction")
    return groups.mean(), groups.sem().fillna(0.0)


def _differences(results: pd.DataFrame, against: str) -> pd.DataFrame:
    """AUC minus that of the reference with the same domain, label fraction and seed."""
    keys = ["domain", "label_fraction", "pretrain_seed"]
    means = results.groupby(["strategy", *keys])["value"].mean()
    if against not in means.index.get_level_values("strategy"):
        raise NothingToDraw(f"No encoder was trained on {against} pairs, to compare with.")
    differences = (means - means.xs(against)).dropna().rename("value").reset_index()
    differences = differences[differences["strategy"] != against]
    return require(differences, ("value",), "differences", f"Only {against} pairs were trained on.")


def _draw_bars(axes: Axes, differences: pd.DataFrame, mark: Mapping[str, Mark]) -> None:
    strategies = present(differences["strategy"])
    fractions = sorted(differences["label_fraction"].unique())
    width = 0.8 / len(strategies)
    for i, strategy in enumerate(strategies):
        centre, error = over_seeds(differences[differences["strategy"] == strategy], "value")
        centre, error = centre.reindex(fractions), error.reindex(fractions)
        where = np.arange(len(fractions)) + (i - (len(strategies) - 1) / 2) * width
        whiskers = error.to_numpy() if differences["pretrain_seed"].nunique() > 1 else None
        axes.bar(
            where,
            centre,
            0.92 * width,
            yerr=whiskers,
            color=mark[strategy].colour,
            ecolor=INK,
            label=mark[strategy].label,
        )
    axes.grid(visible=False, axis="x")


def _gain_note(results: pd.DataFrame, protocol: str) -> str:
    several = results["pretrain_seed"].nunique() > 1
    error = "whiskers: standard error over pretraining seeds"
    return f"{PROTOCOLS[protocol]}; {error if several else 'one seed: no whiskers'}"


def shares_of_labels(results: pd.DataFrame) -> dict[float, str]:
    """Label fractions, each with its share in per cent and its count of labelled images."""
    counts = results.groupby("label_fraction")["n_labels"].mean()
    shares = [float(share) for share in counts.index]
    return {s: f"{100 * s:g}\n{n:.0f}" for s, n in zip(shares, counts, strict=True)}


def _label_shares(axes: Axes, results: pd.DataFrame) -> None:
    """A logarithmic axis of label shares."""
    shares = shares_of_labels(results)
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks([100 * share for share in shares], list(shares.values()))
    axes.tick_params(axis="x", labelsize=8.5)
