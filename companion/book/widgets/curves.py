"""Curves of one measure whose strategies, protocols, panels and seeds toggle, as HTML without a
kernel.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from companion.book.figures.colours import themed
from companion.book.figures.icons import SHAPES
from companion.book.figures.look import Mark
from companion.book.widgets.page import component

Role = Literal["colour", "dash", "panel", "mean"]


@dataclass(frozen=True)
class Facet:
    """What curves differ in.

    Attributes:
        column: of the table.
        title: above its choices.
        role: strategies have colours, protocols dashes, domains panels; seeds are averaged.
        labels: each value of the column to its name, in order.
        off: values that are not shown at first.
        marks: of the values, where the role is 'colour'.
    """

    column: str
    title: str
    role: Role
    labels: Mapping[Any, str]
    off: Sequence[Any] = ()
    marks: Mapping[Any, Mark] | None = None


@dataclass(frozen=True)
class Axis:
    """Where the points of curves lie.

    Attributes:
        column: of the table.
        name: with its unit.
        each: what a place is called, before its number.
        ticks: each place with a short and a long name; round numbers where there are none.
        log: whether it is logarithmic.
    """

    column: str
    name: str
    each: str = ""
    ticks: Sequence[tuple[float, str, str]] = ()
    log: bool = False


def curves_html(
    table: pd.DataFrame, facets: Sequence[Facet], x: Axis, *, measure: str, reference: str
) -> str:
    """Curves with intervals, a panel each, and their numbers as a table.

    Args:
        table: columns of the facets and of the axis, `value`, and `ci_low`, `ci_high`, missing
            where there is no interval; one row a point.
        facets: one of role 'colour' among them.
        x: the axis.
        measure: name of the values.
        reference: value of the coloured facet that the others are compared with.

    Returns:
        An HTML fragment; several may stand on one page.
    """
    coloured = next(facet for facet in facets if facet.role == "colour")
    data = {
        "measure": measure,
        "reference": list(coloured.labels).index(reference),
        "x": {
            "name": x.name,
            "each": x.each,
            "log": x.log,
            "ticks": [list(tick) for tick in x.ticks],
        },
        "facets": [_facet(facet) for facet in facets],
        "lines": _lines(table, facets, x.column),
    }
    return component(
        "curves.html",
        data,
        styles=["widget.css", "curves.css"],
        scripts=["elements.js", "svg.js", "chart.js", "curves.js"],
        render="renderCurves",
    )


def _facet(facet: Facet) -> dict[str, Any]:
    values = [
        {"label": label, "on": value not in facet.off, **_look(facet, value)}
        for value, label in facet.labels.items()
    ]
    return {"title": facet.title, "role": facet.role, "values": values}


def _look(facet: Facet, value: Any) -> dict[str, Any]:
    if facet.marks is None:
        return {}
    shape = SHAPES[facet.marks[value].marker]
    return {
        "colour": themed(facet.marks[value].colour),
        "path": shape.path,
        "stroked": shape.stroked,
    }


def _lines(table: pd.DataFrame, facets: Sequence[Facet], x: str) -> list[dict[str, Any]]:
    columns = [facet.column for facet in facets]
    places = [{value: i for i, value in enumerate(facet.labels)} for facet in facets]
    points = table[[x, "value", "ci_low", "ci_high"]].round(4).astype(object)
    points = points.where(points.notna(), None)
    return [
        {
            "at": [place[key] for place, key in zip(places, keys, strict=True)],
            "points": points.loc[mine.index].to_numpy().tolist(),
        }
        for keys, mine in table.sort_values(x).groupby(columns, sort=False)
    ]
