"""Whether encoders were trained to the end, and how long that takes."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from companion.book.figures.labels import label_lines
from companion.book.figures.look import (
    add_legend,
    marks,
    new_panels,
    not_trained,
    or_says_why,
    require,
    style,
)
from companion.book.figures.training import draw_history
from companion.evaluation.convergence import AUC

LINES = {"random": "--", "initial": "-"}
STARTS = {"initial": "initial weights", "random": "random weights"}


@or_says_why
def validation(history: pd.DataFrame | None, *, objective: str = "simclr") -> Figure:
    """ROC-AUC of linear probes on validation images over pretraining: the mean, then each scanner.

    Args:
        history: columns `epoch`, `strategy`, `validation_auc` and
            `validation_auc_<percent>_<scanner>`, empty in epochs without a probe. None where
            nothing was trained.
        objective: after which strategies are named.
    """
    why = not_trained(objective)
    if history is not None and AUC not in history:
        history, why = None, "No probe was made while these encoders were pretrained."
    history = require(history, ("epoch", "strategy"), "the training history", why)
    columns = [name for name in history.columns if name.startswith(AUC)]
    trained = history.assign(epoch=history["epoch"] + 1)  # epochs that were trained
    with style():
        figure, panels = new_panels(len(columns), height=2.1)
        for axes, column in zip(panels, columns, strict=True):
            draw_history(axes, trained, "epoch", column, marks(objective))
            axes.set(
                title=probe_name(column).replace(", ", ",\n"),
                xlabel="epoch",
                ylabel="validation AUC",
            )
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        add_legend(figure, panels[0])
    return figure


def probe_name(column: str) -> str:
    """What a column of the history holds the AUC of: 'mean', or a scanner and a share of labels."""
    _, _, of = column.removeprefix(AUC).partition("_")
    if not of:
        return "mean"
    percent, _, scanner = of.partition("_")
    return f"{scanner}, {percent} % of the labels"


@or_says_why
def training_length(table: pd.DataFrame | None) -> Figure:
    """The crossing: validation AUC of SimCLR on real and on true-counterfactual pairs over epochs.

    Args:
        table: `length.csv` of `companion.experiments.length`: columns `epoch`, `start`, `strategy`,
            `validation_auc`. None where nobody trained for so long.
    """
    why = "Nothing was trained for long in this record."
    table = require(table, ("epoch", "start", "strategy", AUC), "length.csv", why)
    look = marks("simclr")
    with style():
        figure, (axes,) = new_panels(1, height=3.4)
        for (start, strategy), mine in table.dropna(subset=[AUC]).groupby(
            ["start", "strategy"], sort=False
        ):
            line = mine.groupby("epoch", as_index=False)[AUC].mean()
            mark = look[str(strategy)]
            axes.plot(
                line["epoch"] + 1,
                line[AUC],
                color=mark.colour,
                marker=mark.marker,
                markersize=4,
                linestyle=LINES[str(start)],
                label=f"{mark.label},\n{STARTS[str(start)]}",
            )
        axes.set(xlabel="epoch of one schedule", ylabel="validation AUC of a linear probe")
        label_lines(figure, axes)
    return figure
