"""Curves of results that a reader can take apart: over shares of labels, and over epochs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from companion.book.figures import accuracy
from companion.book.figures.colours import themed
from companion.book.figures.look import NOTHING_SAID, SHAPES, Initial, Mark, marks, present
from companion.book.figures.training import STARTS, probe_name
from companion.book.widgets import widget_html
from companion.evaluation.convergence import AUC

FIRST = ("standard", "plus", "counterfactual", "oracle")  # shown before anything is chosen
REFERENCE = "standard"  # that other strategies are compared with


@dataclass(frozen=True)
class Facet:
    """What curves differ in.

    Attributes:
        title: above its choices.
        role: strategies have colours, protocols dashes, domains panels; seeds are averaged.
        labels: each value of the table's column to its name, in order.
        off: values that are not shown at first.
        marks: of the values, where the role is 'colour'.
    """

    title: str
    role: Literal["colour", "dash", "panel", "mean"]
    labels: Mapping[Any, str]
    off: Sequence[Any] = ()
    marks: Mapping[Any, Mark] | None = None

    def data(self) -> dict[str, Any]:
        """The same as the script reads it."""
        values = [
            {"label": label, "on": value not in self.off, **self._look(value)}
            for value, label in self.labels.items()
        ]
        return {"title": self.title, "role": self.role, "values": values}

    def _look(self, value: Any) -> dict[str, Any]:
        if self.marks is None:
            return {}
        shape = SHAPES[self.marks[value].marker]
        colour = themed(self.marks[value].colour)
        return {"colour": colour, "path": shape.path, "stroked": shape.stroked}


def curves_html(
    table: pd.DataFrame, facets: Mapping[str, Facet], x: Mapping[str, Any], measure: str
) -> str:
    """Curves with intervals, a panel each, and their numbers as a table.

    Args:
        table: columns `x`, those of the facets, `value`, and `ci_low`, `ci_high`, missing where
            there is no interval; one row a point.
        facets: by their columns; one of role 'colour', with the reference, among them.
        x: the axis: its `name` with the unit; `each`, what a place is called before its number;
            `ticks`, each place with a short and a long name, round numbers where there are none;
            `log`, whether it is logarithmic.
        measure: name of the values.

    Returns:
        An HTML fragment; several may stand on one page.
    """
    places = [{value: i for i, value in enumerate(facet.labels)} for facet in facets.values()]
    points = table[["x", "value", "ci_low", "ci_high"]].round(4).astype(object)
    points = points.where(points.notna(), None)
    lines = [
        {
            "at": [place[key] for place, key in zip(places, keys, strict=True)],
            "points": points.loc[mine.index].to_numpy().tolist(),
        }
        for keys, mine in table.sort_values("x").groupby(list(facets), sort=False)
    ]
    (coloured,) = (facet for facet in facets.values() if facet.role == "colour")
    data = {
        "measure": measure,
        "reference": list(coloured.labels).index(REFERENCE),
        "x": x,
        "facets": [facet.data() for facet in facets.values()],
        "lines": lines,
    }
    return widget_html("curves", data)


def label_efficiency(
    results: pd.DataFrame, objective: str, n_classes: int = 2, initial: Initial = NOTHING_SAID
) -> str:
    """ROC-AUC over the share of labels, as HTML.

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
    rows = accuracy.auc_rows(results, objective)
    keys = ["strategy", "protocol", "domain", "pretrain_seed", "label_fraction"]
    table = rows.groupby(keys, sort=False)[["value", "ci_low", "ci_high"]].mean().reset_index()
    table["x"] = 100 * table["label_fraction"]
    look = marks(objective, initial)
    strategies = present(table["strategy"])
    protocols = {k: v for k, v in accuracy.PROTOCOLS.items() if k in set(table["protocol"])}
    facets = {
        "strategy": Facet(
            "Pairs",
            "colour",
            {name: look[name].label for name in strategies},
            off=[name for name in strategies if name not in FIRST],
            marks=look,
        ),
        "domain": Facet("Test images of", "panel", {d: d for d in dict.fromkeys(table["domain"])}),
        "protocol": Facet("Protocol", "dash", protocols, off=list(protocols)[1:]),
        "pretrain_seed": _seeds(table["pretrain_seed"]),
    }
    counts = rows.groupby("label_fraction")["n_labels"].mean()
    ticks = [
        (round(100 * share, 4), f"{100 * share:g}", f"{100 * share:g} % ({n:.0f} images)")
        for share, n in zip(map(float, counts.index), counts, strict=True)
    ]
    x = {"name": "labels used [%]", "each": "", "ticks": ticks, "log": True}
    return curves_html(table, facets, x, accuracy.measure(n_classes))


def training_length(history: pd.DataFrame | None) -> str:
    """Validation AUC over the epochs of long trainings, as HTML.

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
    table["x"] = table["epoch"] + 1  # epochs that were trained
    look = marks("simclr")
    names = {name: look[name].label for name in present(table["strategy"])}
    probes = {name: probe_name(name) for name in columns}
    facets = {
        "strategy": Facet("Pairs", "colour", names, marks=look),
        "probe": Facet("Validation images of", "panel", probes, off=columns[1:]),
        "start": Facet("From", "dash", STARTS),
        "seed": _seeds(table["seed"]),
    }
    x = {"name": "epoch of one schedule", "each": "epoch", "ticks": [], "log": False}
    return curves_html(table, facets, x, "Validation AUC")


def _seeds(column: pd.Series) -> Facet:
    labels = {seed: str(seed) for seed in sorted(column.unique())}
    return Facet("Pretraining seeds", "mean", labels)
