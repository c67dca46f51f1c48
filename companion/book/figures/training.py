"""How training went: losses, whether encoders were trained to the end, and what it cost."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from companion.book.figures import canvas, colours
from companion.book.figures.colours import CATEGORIES, FAINT
from companion.book.figures.look import OBJECTIVES, Mark, marks, present
from companion.evaluation.convergence import AUC

LINES = {"random": "--", "initial": "-"}
STARTS = {"initial": "initial weights", "random": "random weights"}
STEPS = {"generator": colours.VIOLET, "bank": colours.LILAC, "pretraining": colours.STEEL}
STEP_NAMES = {"bank": "bank of counterfactuals"}


@canvas.drawn
def training_history(
    history: pd.DataFrame | None, metrics: Mapping[str, str], *, objective: str = "simclr"
) -> Figure:
    """Metrics over training, one panel each, one line per strategy where the table names it.

    Args:
        history: one row per epoch; columns `epoch`, the metrics, and optionally `strategy`.
            Missing values are skipped, so metrics may be logged at different times. None where
            nothing was trained.
        metrics: column to axis label, unit included, e.g. {"loss": "NT-Xent loss [nats]"}.
        objective: after which strategies are named.
    """
    history = canvas.require(history, canvas.not_trained(objective))
    figure, panels = canvas.new_panels(len(metrics), height=2.1)
    for axes, (column, label) in zip(panels, metrics.items(), strict=True):
        _draw_history(axes, history, column, marks(objective))
        axes.set(xlabel="epoch", ylabel=label)
    if "strategy" in history.columns:
        canvas.add_legend(figure, panels[0])
    return figure


@canvas.drawn
def validation(history: pd.DataFrame | None, *, objective: str = "simclr") -> Figure:
    """ROC-AUC of linear probes on validation images over pretraining: the mean, then each scanner.

    Args:
        history: columns `epoch`, `strategy`, `validation_auc` and
            `validation_auc_<percent>_<scanner>`, empty in epochs without a probe. None where
            nothing was trained.
        objective: after which strategies are named.
    """
    history = canvas.require(history, canvas.not_trained(objective))
    columns = [name for name in history.columns if name.startswith(AUC)]
    if not columns:
        raise canvas.NothingToDraw("No probe was made while these encoders were pretrained.")
    trained = history.assign(epoch=history["epoch"] + 1)  # epochs that were trained
    figure, panels = canvas.new_panels(len(columns), height=2.1)
    for axes, column in zip(panels, columns, strict=True):
        _draw_history(axes, trained, column, marks(objective))
        title = probe_name(column).replace(", ", ",\n")
        axes.set(title=title, xlabel="epoch", ylabel="validation AUC")
    canvas.add_legend(figure, panels[0])
    return figure


def _draw_history(axes: Axes, history: pd.DataFrame, column: str, look: Mapping[str, Mark]) -> None:
    """A column over epochs, seeds averaged: a line per strategy where the table names it."""
    named = "strategy" in history.columns
    for strategy in present(history["strategy"]) if named else ["standard"]:
        mine = history[history["strategy"] == strategy] if named else history
        line = mine[["epoch", column]].dropna().groupby("epoch", as_index=False).mean()
        mark = look[strategy]
        shape: dict[str, Any] = {"marker": _seen_alone(line)}
        if named:
            shape = {"marker": mark.marker, "markevery": max(1, len(line) // 6)}
            shape["label"] = mark.label
        axes.plot(line["epoch"], line[column], color=mark.colour, **shape)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _seen_alone(line: pd.DataFrame) -> str:
    """The marker of a line: a single point would not be seen without one."""
    return "o" if len(line) == 1 else ""


def probe_name(column: str) -> str:
    """What a column of the history holds the AUC of: 'mean', or a scanner and a share of labels."""
    _, _, of = column.removeprefix(AUC).partition("_")
    if not of:
        return "mean"
    percent, _, scanner = of.partition("_")
    return f"{scanner}, {percent} % of the labels"


@canvas.drawn
def training_length(table: pd.DataFrame | None) -> Figure:
    """The crossing: validation AUC of SimCLR on real and on true-counterfactual pairs over epochs.

    Args:
        table: `length.csv` of `companion.experiments.length`: columns `epoch`, `start`, `strategy`,
            `validation_auc`. None where nobody trained for so long.
    """
    table = canvas.require(table, "Nothing was trained for long in this record.")
    probed, look = table.dropna(subset=[AUC]), marks("simclr")
    figure, (axes,) = canvas.new_panels(1, height=3.4)
    for names, mine in probed.groupby(["start", "strategy"], sort=False):
        start, strategy = map(str, names)
        line = mine.groupby("epoch", as_index=False)[AUC].mean()
        mark = look[strategy]
        shape: dict[str, Any] = {"color": mark.colour, "marker": mark.marker, "markersize": 4}
        shape |= {"linestyle": LINES[start], "label": f"{mark.label},\n{STARTS[start]}"}
        axes.plot(line["epoch"] + 1, line[AUC], **shape)
    axes.set(xlabel="epoch of one schedule", ylabel="validation AUC of a linear probe")
    canvas.label_lines(figure, axes)
    return figure


@canvas.drawn
def kl_per_resolution(history: pd.DataFrame) -> Figure:
    """The generator's KL divergence at each resolution of its latents over training.

    Args:
        history: the generator's history: `epoch` and one column `kl_<resolution>` (bits per
            pixel) for each side of a latent map.
    """
    names = [name for name in history.columns if re.fullmatch(r"kl_\d+", name)]
    resolutions = sorted(int(name.removeprefix("kl_")) for name in names)
    figure, (axes,) = canvas.new_panels(1, height=2.6)
    for resolution, colour in zip(resolutions, CATEGORIES, strict=False):
        line = history[["epoch", f"kl_{resolution}"]].dropna()
        name = f"latents of\n{resolution} × {resolution}"
        x, y = line["epoch"], line[f"kl_{resolution}"]
        axes.plot(x, y, color=colour, marker=_seen_alone(line), label=name)
    axes.set(xlabel="epoch", ylabel="KL [bits per pixel]")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    canvas.label_lines(figure, axes)
    return figure


@canvas.drawn
def cost(table: pd.DataFrame | None) -> Figure:
    """Time of one run of generator, banks and each pretraining.

    Args:
        table: of `companion.evaluation.cost.cost_table`; where a time is not known, it says so.
    """
    table = canvas.require(table).reset_index(drop=True)
    minutes = table["seconds"] / 60
    figure, (axes,) = canvas.new_panels(1, height=0.32 * len(table) + 0.8)
    for step, colour in STEPS.items():
        mine = minutes[table["step"] == step]
        if len(mine):
            axes.barh(mine.index, mine, color=colour, label=STEP_NAMES.get(step, step))
    for place, (end, mib) in enumerate(zip(minutes, table["peak_memory_mib"], strict=True)):
        unknown = "" if np.isfinite(end) else " interrupted;"
        beside = f"{unknown} {mib / 1024:.1f} GiB"
        axes.text(np.nan_to_num(end), place, beside, va="center", fontsize=8.5, color=FAINT)
    canvas.name_rows(axes, list(map(_name, table["step"], table["what"])))
    axes.margins(x=0.15)
    axes.set_xlabel("minutes of one run (beside: peak memory)")
    canvas.add_legend(figure, axes)
    return figure


def _name(step: str, what: str) -> str:
    """What a step is called on an axis: 'bank: sex', or the strategy's label."""
    if step != "pretraining":
        return f"{step}: {what}" if what else step
    objective, strategy = what.split("-")
    label = marks(objective)[strategy].label
    return f"{label}, {OBJECTIVES.get(objective, objective)}" if strategy == "oracle" else label
