"""Every figure of the book: one function each, from plain arrays and tidy tables to a Figure.

Figures are about five inches wide with large type, so that they stay readable at the width of a
phone, and they bring their own light background, so that dark mode leaves them alone.
"""

import io
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from ccl.cohorts.cohort import SPLITS

WIDTH = 5.2  # inches; one or two panels side by side
CARD = "#ffffff"
INK = "#1f2933"
FAINT = "#7b8794"


@dataclass(frozen=True)
class Mark:
    """How one thing looks in every figure.

    Attributes:
        label: its name in legends.
        colour: hex colour (Okabe and Ito's colour-blind-safe palette).
        marker: matplotlib marker, so that colour is never the only difference.
    """

    label: str
    colour: str
    marker: str


STRATEGIES: Mapping[str, Mark] = {
    "standard": Mark("SimCLR", "#0072B2", "o"),
    "plus": Mark("SimCLR+", "#E69F00", "s"),
    "counterfactual": Mark("CF-SimCLR", "#009E73", "D"),
    "oracle": Mark("Oracle pairs", "#CC79A7", "^"),
    "random": Mark("Random encoder", "#6B7280", "x"),
}

IMAGES: Mapping[str, Mark] = {
    "real": Mark("Real test images (ceiling)", "#6B7280", "o"),
    "counterfactual": Mark("Counterfactuals", "#009E73", "D"),
    "untrained": Mark("Untrained generator", "#D55E00", "x"),
    "untouched": Mark("Left alone", "#6B7280", "o"),
    "histogram": Mark("Histogram matching", "#E69F00", "s"),
}

Band = Literal["bootstrap", "seeds"]


@contextmanager
def _style() -> Iterator[None]:
    """The book's look, for the figures made inside; global settings stay untouched."""
    with sns.axes_style("whitegrid"), mpl.rc_context():
        mpl.rcParams.update(
            {
                "figure.facecolor": CARD,
                "savefig.facecolor": CARD,
                "figure.dpi": 160,
                "font.size": 11,
                "axes.titlesize": 12,
                "axes.labelsize": 11,
                "legend.fontsize": 10,
                "xtick.labelsize": 10,
                "ytick.labelsize": 10,
                "axes.edgecolor": FAINT,
                "text.color": INK,
                "axes.labelcolor": INK,
                "xtick.color": INK,
                "ytick.color": INK,
                "grid.color": "#e4e7eb",
                "lines.linewidth": 2,
                "lines.markersize": 6,
            }
        )
        yield


class BookFigure(Figure):
    """A figure that keeps the book's look when drawn later, and shows itself in a notebook.

    It is not registered with pyplot: it appears where it is returned and nowhere else.
    """

    def draw(self, renderer: Any) -> None:
        """Draws under the book's style: ticks are only made now, and read the settings."""
        with _style():
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def _require(table: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(f"{what} lacks the columns {missing}; it has {list(table.columns)}")
    if table.empty:
        raise ValueError(f"{what} has no rows: nothing to draw")


def _figure(height: float, width: float = WIDTH) -> BookFigure:
    return BookFigure(figsize=(width, height), layout="constrained")


def _panels(n: int, *, columns: int = 2, height: float = 2.3) -> tuple[Figure, list[Axes]]:
    """A figure with n panels, at most `columns` beside each other, empty places left out."""
    columns = min(columns, n)
    rows = -(-n // columns)
    figure = _figure(height * rows + 0.7)
    axes = np.asarray(figure.subplots(rows, columns, squeeze=False)).ravel()
    for spare in axes[n:]:
        spare.remove()
    return figure, list(axes[:n])


def _name_outer(panels: Sequence[Axes], x: str, y: str, columns: int = 2) -> None:
    """Axis names at the left and lower edge of a grid of panels that share their axes."""
    for i, axes in enumerate(panels):
        if i % columns == 0:
            axes.set_ylabel(y)
        if i + columns >= len(panels):
            axes.set_xlabel(x)


def _legend(figure: Figure, axes: Axes, note: str = "", columns: int = 3) -> None:
    """One legend under all panels; `note` says below it what band or whisker means."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(columns, len(labels)),
        frameon=False,
        title=note or None,
        title_fontsize=9.5,
    )


# Images


def image_grid(
    rows: Sequence[Sequence[np.ndarray | None]],
    *,
    columns: Sequence[str],
    names: Sequence[str] = (),
    limit: float | None = None,
) -> Figure:
    """A grid of images and signed differences.

    Args:
        rows: cells row by row; uint8 (H, W) is an image in 0..255, a signed or float (H, W) is a
            difference in grey levels, drawn in diverging colours; None leaves the cell empty.
        columns: one title per column.
        names: one name per row, or none.
        limit: grey levels at the ends of the difference colours; the largest |difference| if None.

    Returns:
        The figure, with a colour bar where there are differences.
    """
    if not rows or any(len(row) != len(columns) for row in rows):
        raise ValueError(f"every row needs {len(columns)} cells, one per column title")
    if names and len(names) != len(rows):
        raise ValueError(f"{len(rows)} rows but {len(names)} row names")
    signed = [c for row in rows for c in row if c is not None and c.dtype != np.uint8]
    if signed and limit is None:
        limit = max(1.0, max(float(np.abs(cell).max()) for cell in signed))
    cell_size = min(1.5, WIDTH / len(columns))
    with _style():
        figure = _figure(cell_size * len(rows) + 0.5, cell_size * len(columns) + 0.4)
        axes = np.asarray(figure.subplots(len(rows), len(columns), squeeze=False))
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                _draw_cell(axes[i, j], cell, limit)
                if i == 0:
                    axes[i, j].set_title(_wrapped(columns[j], cell_size), fontsize=9)
            if names:
                axes[i, 0].set_ylabel(names[i], fontsize=10)
        if signed and limit is not None:
            colours = ScalarMappable(Normalize(-limit, limit), "RdBu_r")
            bar = figure.colorbar(colours, ax=axes, orientation="horizontal", fraction=0.05)
            bar.set_label("difference [grey levels of 255]", fontsize=10)
    return figure


def _wrapped(title: str, width: float) -> str:
    """A title of size 9 broken into lines that fit a column of some inches."""
    letters = max(6, int(width * 72 / (9 * 0.6)))
    return "\n".join(textwrap.wrap(title, letters, break_long_words=False))


def _draw_cell(axes: Axes, cell: np.ndarray | None, limit: float | None) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if cell is None:
        return
    if cell.dtype == np.uint8:
        axes.imshow(cell, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    elif limit is not None:
        axes.imshow(cell, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")


# Cohort


def cohort_counts(table: pd.DataFrame) -> Figure:
    """Images per scanner and split, as bars.

    Args:
        table: a cohort's table (columns `scanner`, `split`).
    """
    _require(table, ("scanner", "split"), "the cohort table")
    with _style():
        figure, (axes,) = _panels(1, height=2.6)
        sns.countplot(
            table,
            y="scanner",
            hue="split",
            order=list(table["scanner"].value_counts().index),
            hue_order=SPLITS,
            palette=["#0072B2", "#56B4E9", "#E69F00"],
            legend=False,
            ax=axes,
        )
        for bars, split in zip(axes.containers, SPLITS, strict=True):
            bars.set_label(split)
        axes.set(xlabel="images", ylabel="scanner")
        _legend(figure, axes)
    return figure


# Training


def training_history(
    history: pd.DataFrame, metrics: Mapping[str, str], *, x: str = "epoch"
) -> Figure:
    """Metrics over training, one panel each, one line per strategy where the table names it.

    Args:
        history: one row per point in time; columns `x`, the metrics, and optionally `strategy`.
            Missing values are skipped, so metrics may be logged at different times.
        metrics: column to axis label, unit included, e.g. {"loss": "NT-Xent loss [nats]"}.
        x: column of the time axis.
    """
    _require(history, (x, *metrics), "the training history")
    with _style():
        figure, panels = _panels(len(metrics), height=2.1)
        for axes, (column, label) in zip(panels, metrics.items(), strict=True):
            _draw_history(axes, history, x, column)
            axes.set(xlabel=x, ylabel=label)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        if "strategy" in history.columns:
            _legend(figure, panels[0])
    return figure


def _draw_history(axes: Axes, history: pd.DataFrame, x: str, column: str) -> None:
    if "strategy" not in history.columns:
        line = history[[x, column]].dropna().groupby(x, as_index=False).mean()
        axes.plot(line[x], line[column], color=STRATEGIES["standard"].colour)
        return
    for strategy in _present(history["strategy"]):
        mark = STRATEGIES[strategy]
        mine = history.loc[history["strategy"] == strategy, [x, column]].dropna()
        line = mine.groupby(x, as_index=False).mean()
        axes.plot(
            line[x],
            line[column],
            color=mark.colour,
            marker=mark.marker,
            markevery=max(1, len(line) // 6),
            label=mark.label,
        )


def _present(strategies: pd.Series) -> list[str]:
    """The strategies that occur, in the order of `STRATEGIES`."""
    names = set(strategies)
    unknown = names - set(STRATEGIES)
    if unknown:
        raise ValueError(f"unknown strategy {sorted(unknown)}; known: {list(STRATEGIES)}")
    return [strategy for strategy in STRATEGIES if strategy in names]


def alignment_uniformity(history: pd.DataFrame) -> Figure:
    """Alignment and uniformity of the embeddings over training.

    Args:
        history: columns `epoch`, `alignment`, `uniformity`, optionally `strategy`.

    Source:
        Wang & Isola 2020, https://arxiv.org/abs/2005.10242 (alpha = 2, t = 2; lower is better).
    """
    return training_history(
        history,
        {
            "alignment": "alignment\n[squared distance]",
            "uniformity": "uniformity\n[log mean kernel]",
        },
    )


def kl_per_resolution(history: pd.DataFrame) -> Figure:
    """The generator's KL divergence at each resolution of its latents over training.

    Args:
        history: the generator's history: `epoch` and one column `kl_<resolution>` (bits per
            pixel) for each side of a latent map.
    """
    names = [name for name in history.columns if re.fullmatch(r"kl_\d+", name)]
    _require(history, ("epoch", *(names or ["kl_<resolution>"])), "the generator's history")
    resolutions = sorted(int(name.removeprefix("kl_")) for name in names)
    colours = sns.color_palette("viridis", len(resolutions))
    with _style():
        figure, (axes,) = _panels(1, height=2.6)
        for resolution, colour in zip(resolutions, colours, strict=True):
            line = history[["epoch", f"kl_{resolution}"]].dropna()
            name = f"{resolution} x {resolution}"
            axes.plot(line["epoch"], line[f"kl_{resolution}"], color=colour, label=name)
        axes.set(xlabel="epoch", ylabel="KL [bits per pixel]")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        _legend(figure, axes, "latent resolution", columns=4)
    return figure


# Counterfactual quality


def effectiveness(quality: pd.DataFrame) -> Figure:
    """How often a scanner classifier sees the intended scanner, beside its ceiling and chance.

    Args:
        quality: rows with `measure` == 'effectiveness'; columns `images` ('real' for the ceiling,
            'counterfactual', optionally 'untrained'), `target` (scanner), `value`, `ci_low`,
            `ci_high` (shares in 0..1; 95 % intervals, NaN where not computed).
    """
    _require(quality, ("measure", "images", "target", "value", "ci_low", "ci_high"), "quality")
    bars = quality[quality["measure"] == "effectiveness"]
    with _style():
        figure, (axes,) = _panels(1, height=2.8)
        _draw_bars(axes, bars, "target", 100.0, ("real", "counterfactual", "untrained"))
        n_targets = bars.loc[bars["target"] != "all", "target"].nunique()
        axes.axhline(100 / n_targets, color=INK, linestyle=":", label="Chance")
        axes.set(xlabel="scanner", ylabel="seen as that scanner [%]", ylim=(0, 104))
        _legend(figure, axes, "whiskers: 95 % intervals", columns=2)
    return figure


def gold_error(quality: pd.DataFrame) -> Figure:
    """Error against the true counterfactual, beside leaving alone and histogram matching.

    Args:
        quality: rows with `measure` == 'gold_error'; columns `images` ('untouched', 'histogram',
            'counterfactual'), `source`, `target` (scanners), `value`, `ci_low`, `ci_high` (mean
            absolute error in grey levels of 255).
    """
    columns = ("measure", "images", "source", "target", "value", "ci_low", "ci_high")
    _require(quality, columns, "quality")
    bars = quality[quality["measure"] == "gold_error"].copy()
    pooled = (bars["source"] == "all") | (bars["target"] == "all")
    bars["direction"] = bars["source"] + "\n→ " + bars["target"]
    bars.loc[pooled, "direction"] = "all"
    with _style():
        figure = _figure(0.72 * bars["direction"].nunique() + 1.4)
        axes = figure.subplots()
        order = ("untouched", "histogram", "counterfactual")
        _draw_bars(axes, bars, "direction", 1.0, order, horizontal=True)
        axes.set(xlabel="mean absolute error [grey levels of 255]", ylabel="direction")
        _legend(figure, axes, "whiskers: 95 % intervals", columns=2)
    return figure


def _draw_bars(
    axes: Axes,
    table: pd.DataFrame,
    group: str,
    scale: float,
    order: Sequence[str],
    *,
    horizontal: bool = False,
) -> None:
    """Bars with whiskers, one group per value of `group`, one bar per kind of image."""
    groups = list(dict.fromkeys(table[group]))
    kinds = [kind for kind in order if kind in set(table["images"])]
    if not groups or not kinds:
        raise ValueError(f"quality has no rows for any of {list(order)}: nothing to draw")
    thickness = 0.8 / len(kinds)
    for k, kind in enumerate(kinds):
        mine = table[table["images"] == kind].groupby(group).mean(numeric_only=True).reindex(groups)
        where = np.arange(len(groups)) + (k - (len(kinds) - 1) / 2) * thickness
        value, low, high = (scale * mine[c].to_numpy() for c in ("value", "ci_low", "ci_high"))
        whiskers = np.nan_to_num(np.clip(np.stack([value - low, high - value]), 0, None))
        look: dict[str, Any] = {
            "color": IMAGES[kind].colour,
            "label": IMAGES[kind].label,
            "ecolor": INK,
        }
        if horizontal:
            axes.barh(where, value, thickness * 0.92, xerr=whiskers, **look)
        else:
            axes.bar(where, value, thickness * 0.92, yerr=whiskers, **look)
    if horizontal:
        axes.set_yticks(range(len(groups)), groups)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
    else:
        axes.set_xticks(range(len(groups)), groups)
        axes.grid(visible=False, axis="x")


# Representation quality


def label_efficiency(
    results: pd.DataFrame, *, domains: Sequence[str] = (), band: Band | None = None
) -> Figure:
    """ROC-AUC over the share of labels, one panel per domain, one line per strategy.

    Args:
        results: rows of `results.csv` (one cohort, objective and protocol).
        domains: domains to draw, in this order; all that occur if empty.
        band: 'bootstrap' = 95 % patient-bootstrap interval (averaged over seeds), 'seeds' =
            standard error over pretraining seeds; None = 'seeds' where every pretrained strategy
            has at least three, else 'bootstrap'. The figure says which it shows.
    """
    results = _auc_rows(results)
    domains = list(domains) or list(dict.fromkeys(results["domain"]))
    absent = [domain for domain in domains if domain not in set(results["domain"])]
    if absent:
        raise ValueError(f"results.csv has no domain {absent}")
    band = band or default_band(results)
    with _style():
        figure, panels = _panels(len(domains))
        for axes, domain in zip(panels, domains, strict=True):
            mine = results[results["domain"] == domain]
            for strategy in _present(mine["strategy"]):
                _draw_curve(axes, mine[mine["strategy"] == strategy], STRATEGIES[strategy], band)
            axes.axhline(0.5, color=INK, linestyle=":", linewidth=1.5, label="Chance")
            axes.set_title(domain)
            _label_axis(axes, results)
        low = min(0.48, *(axes.get_ylim()[0] for axes in panels))
        high = max(axes.get_ylim()[1] for axes in panels)
        for axes in panels:
            axes.set_ylim(low, min(1.0, high))
        _name_outer(panels, "labels used [% (images)]", "ROC-AUC")
        _legend(figure, panels[0], band_label(results, band))
    return figure


def gain(
    results: pd.DataFrame, *, against: str = "standard", domains: Sequence[str] = ()
) -> Figure:
    """Difference in ROC-AUC to one strategy over the share of labels, one panel per domain.

    Args:
        results: rows of `results.csv` (one cohort, objective and protocol).
        against: the strategy whose AUC is subtracted, seed by seed.
        domains: domains to draw, in this order; all that occur if empty.
    """
    results = _auc_rows(results)
    keys = ["domain", "label_fraction", "n_labels", "pretrain_seed"]
    means = results.groupby(["strategy", *keys])["value"].mean()
    if against not in means.index.get_level_values("strategy"):
        raise ValueError(f"results.csv has no strategy '{against}' to compare with")
    differences = (means - means.xs(against)).dropna().rename("value").reset_index()
    differences = differences[differences["strategy"] != against]
    _require(differences, ("value",), f"the difference to '{against}'")
    domains = list(domains) or list(dict.fromkeys(results["domain"]))
    several = results["pretrain_seed"].nunique() > 1
    with _style():
        figure, panels = _panels(len(domains))
        for axes, domain in zip(panels, domains, strict=True):
            mine = differences[differences["domain"] == domain]
            for strategy in _present(mine["strategy"]):
                curve = mine[mine["strategy"] == strategy]
                _draw_curve(axes, curve, STRATEGIES[strategy], "seeds")
            label = STRATEGIES[against].label
            axes.axhline(0, color=STRATEGIES[against].colour, linestyle="--", label=label)
            axes.set_title(domain)
            _label_axis(axes, results)
        # The control's deficit would flatten every difference: it may leave the panel.
        shown = differences.loc[differences["strategy"] != "random", "value"]
        reach = 1.2 * max(0.01, float(shown.abs().max())) if len(shown) else 0.1
        for axes in panels:
            axes.set_ylim(-reach, reach)
        _name_outer(panels, "labels used [% (images)]", f"ROC-AUC − {STRATEGIES[against].label}'s")
        note = "band: standard error over pretraining seeds" if several else "one seed: no band"
        _legend(figure, panels[0], note)
    return figure


def _auc_rows(results: pd.DataFrame) -> pd.DataFrame:
    columns = ("strategy", "pretrain_seed", "label_fraction", "n_labels", "domain", "value")
    _require(results, (*columns, "subgroup", "metric", "ci_low", "ci_high"), "results.csv")
    rows = results[(results["metric"] == "roc_auc") & (results["subgroup"] == "all")]
    _require(rows, columns, "results.csv (metric roc_auc, subgroup all)")
    return rows


def default_band(results: pd.DataFrame) -> Band:
    """'seeds' where every pretrained strategy has three or more pretraining seeds."""
    pretrained = results[results["strategy"] != "random"]
    seeds = pretrained.groupby("strategy")["pretrain_seed"].nunique()
    return "seeds" if len(seeds) and int(seeds.min()) >= 3 else "bootstrap"


def band_label(results: pd.DataFrame, band: Band) -> str:
    """What the band of a figure means, in words."""
    if band == "seeds":
        return "band: standard error over pretraining seeds"
    several = results["pretrain_seed"].nunique() > 1
    return "band: 95 % patient bootstrap" + (", mean over seeds" if several else "")


def _draw_curve(axes: Axes, rows: pd.DataFrame, mark: Mark, band: Band) -> None:
    if band == "seeds":  # average the probe seeds first: the pretraining seeds are the sample
        by_seed = rows.groupby(["label_fraction", "pretrain_seed"])["value"].mean()
        groups = by_seed.groupby("label_fraction")
        centre, error = groups.mean(), groups.sem().fillna(0.0)
        low, high = centre - error, centre + error
    else:
        table = rows.groupby("label_fraction")[["value", "ci_low", "ci_high"]].mean()
        centre, low, high = table["value"], table["ci_low"], table["ci_high"]
    x = 100 * centre.index.to_numpy(dtype=float)
    axes.plot(x, centre, color=mark.colour, marker=mark.marker, label=mark.label)
    axes.fill_between(x, low, high, color=mark.colour, alpha=0.15, linewidth=0)


def _label_axis(axes: Axes, results: pd.DataFrame) -> None:
    """A logarithmic axis of label shares, each tick with its count of labelled images."""
    counts = results.groupby("label_fraction")["n_labels"].mean()
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    shares = [100 * float(share) for share in counts.index]
    axes.set_xticks(shares, [f"{s:g}\n({n:.0f})" for s, n in zip(shares, counts, strict=True)])
    axes.tick_params(axis="x", labelsize=8.5)
