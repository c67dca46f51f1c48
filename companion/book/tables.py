"""Tables that the notebooks show, with every name that comes out of data escaped."""

import html
from collections.abc import Mapping, Sequence

import pandas as pd
from IPython.display import Markdown
from pandas.io.formats.style import Styler

from ccl.generator.pixel_moments import grey_spread
from companion.book.figures.canvas import NOT_COMPUTED
from companion.book.figures.look import MARKS_BY_LABEL, Mark, marks
from companion.book.markdown import escape
from companion.cohorts.cohort import SPLITS, Cohort
from companion.evaluation.collapse import verdicts
from companion.evaluation.convergence import convergence as converged
from companion.quality.summary import overview


def show(
    table: pd.DataFrame, number: str, caption: str = "", *, index: bool = True
) -> Styler | Markdown:
    """A table as HTML; a sentence where it has no rows.

    Args:
        table: text in index, columns and cells is shown as it is, never as HTML.
        number: format of the numbers, e.g. '{:.3f}'; missing ones are dashes.
        caption: above the table.
        index: show the index.
    """
    if table.empty:
        return Markdown(f"*{NOT_COMPUTED}*")
    numbers = table.select_dtypes("number").columns
    shown = table.style.format(escape="html").format(number, na_rep="–", subset=numbers)
    for axis in ("index", "columns"):
        shown = shown.format_index(_named, axis=axis)
    shown = shown if index else shown.hide()
    return shown.set_caption(escape(caption)) if caption else shown


def _named(value: object) -> str:
    """A name as HTML; a strategy's follows its icon."""
    mark = MARKS_BY_LABEL.get(str(value))
    return f"{mark.icon if mark else ''}{html.escape(str(value))}"


def with_intervals(rows: pd.DataFrame, by: Sequence[str], look: Mapping[str, Mark]) -> pd.DataFrame:
    """Values with their intervals as text, means over seeds: a column for each strategy.

    Args:
        rows: columns `strategy`, `value`, `ci_low`, `ci_high`, and those of `by`.
        by: what a row of the table is.
        look: strategy to its mark, in the order of the columns.
    """
    if rows.empty:
        return pd.DataFrame()
    numbers = ["value", "ci_low", "ci_high"]
    means = rows.groupby([*by, "strategy"], sort=False)[numbers].mean()
    text = [f"{value:.2f} ({low:.2f} to {high:.2f})" for value, low, high in means.to_numpy()]
    table = pd.Series(text, index=means.index).unstack("strategy", sort=False)
    labels = {name: mark.label for name, mark in look.items() if name in table}
    return table[list(labels)].rename(columns=labels)


def class_shares(cohort: Cohort) -> pd.DataFrame:
    """How often each class occurs among the labelled images of each scanner, per split.

    Returns:
        Rows `class`, `scanner`, shares in [0, 1] in columns of splits. Of two classes only the
        second is shown.
    """
    known = cohort.table[cohort.table["label"] >= 0]
    shown = cohort.classes[1:] if len(cohort.classes) == 2 else cohort.classes
    tables = {}
    for name in shown:
        is_it = known["label"] == cohort.classes.index(name)
        tables[name] = is_it.groupby([known["scanner"], known["split"]]).mean().unstack("split")
    return pd.concat(tables, names=["class"])[list(SPLITS)]


def grey_levels(cohort: Cohort) -> pd.DataFrame:
    """Mean and standard deviation of the training images' grey levels, one row per scanner."""
    columns = ["mean [0 to 255]", "standard deviation"]
    found = {s: grey_spread(cohort.images, cohort.rows("train", [s])) for s in cohort.scanners}
    return pd.DataFrame.from_dict(found, orient="index", columns=columns)


def ends_of_distillation(history: pd.DataFrame | None) -> pd.DataFrame:
    """How each run of self-distillation ended.

    Args:
        history: as of `companion.experiments.pretraining.pretraining_history`; None without any.
    """
    if history is None:
        return pd.DataFrame()
    labels = {name: mark.label for name, mark in marks("dino").items()}
    columns = {
        "loss_over_chance": "loss / ln K",
        "prototype_entropy": "entropy of the mean target / ln K",
        "embedding_std": "spread of features",
        "verdict": "verdict",
    }
    ends = verdicts(history)
    index = pd.MultiIndex.from_arrays(
        [ends["strategy"].map(labels), ends["seed"]], names=["pairs", "seed"]
    )
    return ends.set_index(index)[list(columns)].rename(columns=columns)


def convergence(histories: Mapping[str, pd.DataFrame], margin: float) -> pd.DataFrame:
    """Whether each pretraining has converged.

    Args:
        histories: objective to its history, of `companion.experiments.pretraining`.
        margin: of the validation AUC over the last quarter of the epochs.
    """
    together = [history.assign(objective=name) for name, history in histories.items()]
    found = converged(pd.concat(together) if together else None, margin)
    labels = [
        marks(objective)[strategy].label
        for objective, strategy in zip(found["objective"], found["strategy"], strict=True)
    ]
    verdict = found["converged"].map({True: "converged", False: "not converged"}).fillna("unknown")
    index = pd.MultiIndex.from_arrays([labels, found["seed"]], names=["encoder", "seed"])
    shown = found.assign(verdict=verdict)[["change", "margin", "verdict"]].set_index(index)
    return shown.rename(columns={"change": "AUC moved by, last quarter"})


def judged_generators(
    qualities: Mapping[str, pd.DataFrame], measures: Sequence[str]
) -> pd.DataFrame:
    """Some measures of the counterfactuals of some generators, to be read: means over directions.

    Args:
        qualities: strategy, or another heading, to the `quality.csv` of its generator; a column
            each, in this order, and one of the real images: judged, or left alone.
        measures: names in `quality.csv`, a row each; those that were not measured are left out.
    """
    labels, found = marks("simclr"), {k: overview(each) for k, each in qualities.items()}
    names = {k: labels[k].label if k in labels else k for k in found}
    table = pd.DataFrame({names[k]: each["counterfactual"] for k, each in found.items()})
    if found:  # all were judged on the same real images
        real = next(iter(found.values())).reindex(columns=["real", "untouched"], fill_value="")
        table["real images"] = real["real"].where(real["real"] != "", real["untouched"])
    return table.loc[[name for name in measures if name in table.index]]
