"""How well classifiers do on each strategy's encoders, over the share of labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from companion.book.figures import canvas
from companion.book.figures.colours import CARD, INK
from companion.book.figures.look import (
    NOTHING_SAID,
    OBJECTIVES,
    Initial,
    Mark,
    marks,
    present,
)
from companion.strategies import CONTROLS

TOO_FEW = "This cohort does not have enough test images of each group with each label."
REFERENCE = "standard"  # the strategy that gains are over
PROTOCOLS = {"linear": "Linear probe", "finetuned": "Finetuned"}
LINES: dict[str, dict[str, Any]] = {
    "linear": {"linestyle": "-"},
    "finetuned": {"linestyle": "--", "markerfacecolor": CARD},
}
LABELS_USED = "labels used\n[%; below: images]"
SEEDS, BOOTSTRAP = "standard error over pretraining seeds", "95 % patient bootstrap"


@canvas.drawn
def label_efficiency(
    results: pd.DataFrame,
    *,
    objective: str = "simclr",
    domains: Sequence[str] = (),
    subgroups: Sequence[str] = ("all",),
    n_classes: int = 2,
    initial: Initial = NOTHING_SAID,
) -> Figure:
    """ROC-AUC over the share of labels, one panel per domain and subgroup, a colour per strategy.

    Solid lines are linear probes, dashed ones with hollow marks are finetuned. The figure says what
    its bands are (`interval_of`).

    Args:
        results: rows of `results.csv` of one cohort.
        objective: whose encoders to draw.
        domains: domains to draw, in this order, where they occur; all that occur if empty.
        subgroups: of the test images, beside each other.
        n_classes: of the cohort; above two the measure is the macro average.
        initial: what the encoders start from, `PretrainingOptions.initial_weights`.
    """
    results = auc_rows(results, objective, subgroups)
    interval = interval_of(results)
    shares = shares_of_labels(results)
    places = [(name, group) for name in chosen_domains(results, domains) for group in subgroups]
    figure, panels = canvas.new_panels(len(places))
    for axes, (domain, subgroup) in zip(panels, places, strict=True):
        mine = (results["domain"] == domain) & (results["subgroup"] == subgroup)
        _draw_curves(axes, results[mine], marks(objective, initial), interval)
        axes.set_title(domain if subgroup == "all" else f"{domain}, {subgroup}")
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks([100 * share for share in shares], list(shares.values()))
        axes.tick_params(axis="x", labelsize=8.5)
    canvas.share_y(panels, low=0.48, most=1.0)
    canvas.name_outer(panels, LABELS_USED, measure(n_classes))
    canvas.add_legend(figure, panels[0], f"band: {_with_means(results, interval)}")
    return figure


@canvas.drawn
def gain(
    results: pd.DataFrame,
    *,
    objective: str = "simclr",
    protocol: str = "linear",
    n_classes: int = 2,
) -> Figure:
    """Difference in ROC-AUC to plain pairs at each share of labels, one panel per domain.

    Encoders that no objective has pretrained are left out: their distance would flatten the rest.

    Args:
        results: rows of `results.csv` of one cohort.
        objective: whose encoders to draw.
        protocol: 'linear' or 'finetuned'.
        n_classes: as for `label_efficiency`.
    """
    results = auc_rows(results, objective)
    results = results[(results["protocol"] == protocol) & ~results["strategy"].isin(CONTROLS)]
    name = OBJECTIVES.get(objective, objective)
    canvas.require(results, f"{PROTOCOLS[protocol]}: no {name} encoder in this profile.")
    differences = _differences(results)
    look, domains = marks(objective), chosen_domains(results)
    reference = look[REFERENCE]
    figure, panels = canvas.new_panels(len(domains))
    for axes, domain in zip(panels, domains, strict=True):
        _draw_bars(axes, differences[differences["domain"] == domain], look)
        axes.axhline(0, color=reference.colour, linewidth=1.5, label=reference.label)
        axes.set_title(domain)
        _name_shares(axes, results)
    canvas.share_y(panels, -0.01, 0.01)
    canvas.name_outer(panels, LABELS_USED, f"{measure(n_classes)}\n− {reference.label}'s")
    several = results["pretrain_seed"].nunique() > 1
    note = f"whiskers: {SEEDS}" if several else "one seed: no whiskers"
    canvas.add_legend(figure, panels[0], f"{PROTOCOLS[protocol]}; {note}", columns=2)
    return figure


@canvas.drawn
def subgroup_gap(
    results: pd.DataFrame,
    pair: tuple[str, str],
    *,
    absolute: bool = False,
    objective: str = "simclr",
    domains: Sequence[str] = (),
    initial: Initial = NOTHING_SAID,
) -> Figure:
    """AUC of one subgroup minus that of another at each share of labels, a panel per domain.

    Args:
        results: rows of `results.csv` of one cohort and protocol, of the encoders to draw.
        pair: the two subgroups, one of `companion.evaluation.subgroups.GAPS`.
        absolute: draw the size of the gap, not its sign.
        objective, initial: as for `label_efficiency`.
        domains: domains to draw, in this order, where they have the gap; all if empty.
    """
    first, second = pair
    metric = "absolute_gap" if absolute else "gap"
    rows = auc_rows(results, objective, (f"{first} minus {second}",), metric)
    domains, interval = chosen_domains(rows, domains), interval_of(rows)
    figure, panels = canvas.new_panels(len(domains))
    for axes, domain in zip(panels, domains, strict=True):
        _draw_gaps(axes, rows[rows["domain"] == domain], marks(objective, initial), interval)
        axes.axhline(0, color=INK, linestyle=":", linewidth=1.5)
        axes.set_title(domain)
        _name_shares(axes, rows)
    canvas.share_y(panels)
    gap = f"{first.replace('=', ': ')}\n− {second.partition('=')[2]}"
    canvas.name_outer(panels, LABELS_USED, f"|{gap}|" if absolute else gap)
    canvas.add_legend(figure, panels[0], f"whiskers: {_with_means(rows, interval)}")
    return figure


def measure(n_classes: int) -> str:
    """Name of the measure, for axes."""
    return "ROC-AUC" if n_classes == 2 else "macro ROC-AUC"


def auc_rows(
    results: pd.DataFrame | None,
    objective: str,
    subgroups: Sequence[str] = ("all",),
    metric: str = "roc_auc",
) -> pd.DataFrame:
    """The ROC-AUCs (or another metric) of one objective in some subgroups.

    Raises:
        NothingToDraw: there are none.
    """
    rows = canvas.require(results)
    rows = rows[(rows["metric"] == metric) & rows["subgroup"].isin(list(subgroups))]
    canvas.require(rows, TOO_FEW)
    return canvas.require(rows[rows["objective"] == objective], canvas.not_trained(objective))


def chosen_domains(rows: pd.DataFrame, wanted: Sequence[str] = ()) -> list[str]:
    """The wanted domains that occur, in this order; all that occur if none is named.

    A domain with few images has no figures of a group, or none at all.

    Raises:
        NothingToDraw: none of them occurs.
    """
    known = list(dict.fromkeys(rows["domain"]))
    found = [domain for domain in wanted or known if domain in known]
    if not found:
        raise canvas.NothingToDraw(TOO_FEW)
    return found


def interval_of(results: pd.DataFrame) -> str:
    """What intervals are: over seeds where every pretrained strategy has three or more of them."""
    pretrained = results[~results["strategy"].isin(CONTROLS)]
    seeds = pretrained.groupby("strategy")["pretrain_seed"].nunique()
    return SEEDS if len(seeds) and int(seeds.min()) >= 3 else BOOTSTRAP


def _with_means(results: pd.DataFrame, interval: str) -> str:
    several = interval == BOOTSTRAP and results["pretrain_seed"].nunique() > 1
    return interval + (", mean over seeds" if several else "")


def estimates(rows: pd.DataFrame, interval: str) -> pd.DataFrame:
    """`value`, `ci_low` and `ci_high` of one curve, by label fraction.

    Args:
        rows: of one strategy, protocol and domain.
        interval: the standard error over pretraining seeds, probe seeds averaged first, or the
            bootstrap intervals over patients, averaged over all seeds.
    """
    if interval == BOOTSTRAP:
        return rows.groupby("label_fraction")[["value", "ci_low", "ci_high"]].mean()
    by_seed = rows.groupby(["label_fraction", "pretrain_seed"])["value"].mean()
    groups = by_seed.groupby("label_fraction")
    value, error = groups.mean(), groups.sem().fillna(0.0)
    return pd.DataFrame({"value": value, "ci_low": value - error, "ci_high": value + error})


def _draw_curves(axes: Axes, rows: pd.DataFrame, look: Mapping[str, Mark], interval: str) -> None:
    if rows.empty:
        axes.text(0.5, 0.7, "too few images", transform=axes.transAxes, ha="center")
    protocols = [protocol for protocol in PROTOCOLS if protocol in set(rows["protocol"])]
    for strategy in present(rows["strategy"]):
        mark = look[strategy]
        label: str | None = mark.label
        for protocol in protocols:
            mine = rows[(rows["strategy"] == strategy) & (rows["protocol"] == protocol)]
            if mine.empty:
                continue
            curve = estimates(mine, interval)
            x = 100 * curve.index.to_numpy(dtype=float)
            shape: dict[str, Any] = {"marker": mark.marker, "markersize": 5, **LINES[protocol]}
            shape |= {"color": mark.colour, "linewidth": mark.width, "label": label}
            axes.plot(x, curve["value"], **shape)
            band: dict[str, Any] = {"color": mark.colour, "alpha": 0.12, "linewidth": 0}
            axes.fill_between(x, curve["ci_low"], curve["ci_high"], **band)
            label = None  # once in the legend
    if protocols != ["linear"]:
        for protocol in protocols:
            axes.plot([], [], color=INK, marker="o", label=PROTOCOLS[protocol], **LINES[protocol])
    axes.axhline(0.5, color=INK, linestyle=":", linewidth=1.5, label="Chance")


def _differences(results: pd.DataFrame) -> pd.DataFrame:
    """AUC minus that of the reference with the same domain, label fraction and seed."""
    keys = ["domain", "label_fraction", "pretrain_seed"]
    means = results.groupby(["strategy", *keys])["value"].mean()
    if REFERENCE not in means.index.get_level_values("strategy"):
        raise canvas.NothingToDraw(f"No encoder was trained on {REFERENCE} pairs, to compare with.")
    differences = (means - means.xs(REFERENCE)).dropna().rename("value").reset_index()
    others = differences[differences["strategy"] != REFERENCE]
    return canvas.require(others, f"Only {REFERENCE} pairs were trained on.")


def _draw_bars(axes: Axes, differences: pd.DataFrame, look: Mapping[str, Mark]) -> None:
    strategies = present(differences["strategy"])
    fractions = sorted(differences["label_fraction"].unique())
    several = differences["pretrain_seed"].nunique() > 1
    for i, strategy in enumerate(strategies):
        bars = estimates(differences[differences["strategy"] == strategy], SEEDS).reindex(fractions)
        axes.bar(
            canvas.places(len(fractions), len(strategies), i),
            bars["value"],
            0.92 * 0.8 / len(strategies),
            yerr=bars["ci_high"] - bars["value"] if several else None,
            color=look[strategy].colour,
            ecolor=INK,
            label=look[strategy].label,
        )
    axes.grid(visible=False, axis="x")


def _draw_gaps(axes: Axes, rows: pd.DataFrame, look: Mapping[str, Mark], interval: str) -> None:
    strategies = present(rows["strategy"])
    n_shares = rows["label_fraction"].nunique()
    for i, strategy in enumerate(strategies):
        gaps = estimates(rows[rows["strategy"] == strategy], interval)
        axes.errorbar(
            canvas.places(n_shares, len(strategies), i, width=0.6),
            gaps["value"].to_numpy(),
            yerr=canvas.reach(gaps),
            color=look[strategy].colour,
            marker=look[strategy].marker,
            linestyle="none",
            label=look[strategy].label,
        )
    axes.grid(visible=False, axis="x")


def shares_of_labels(results: pd.DataFrame) -> dict[float, str]:
    """Label fractions, each with its share in per cent and its count of labelled images."""
    counts = results.groupby("label_fraction")["n_labels"].mean()
    shares = [float(share) for share in counts.index]
    return {s: f"{100 * s:g}\n{n:.0f}" for s, n in zip(shares, counts, strict=True)}


def _name_shares(axes: Axes, results: pd.DataFrame) -> None:
    """Names of shares of labels at 0, 1, 2 ..."""
    shares = shares_of_labels(results)
    axes.set_xticks(range(len(shares)), list(shares.values()), fontsize=8.5)
