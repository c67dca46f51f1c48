"""Tables that the notebooks show, with every name that comes out of data escaped."""

from collections.abc import Mapping, Sequence

import pandas as pd
from pandas.io.formats.style import Styler

from ccl.generator.pixel_moments import grey_spread
from companion.book.figures.look import marks
from companion.book.markdown import escape
from companion.cohorts.cohort import SPLITS, Cohort
from companion.evaluation.collapse import verdicts
from companion.quality.summary import overview


def show(table: pd.DataFrame, number: str, caption: str = "") -> Styler:
    """A table as HTML.

    Args:
        table: text in index, columns and cells is shown as it is, never as HTML.
        number: format of the numbers, e.g. '{:.3f}'; missing ones are dashes.
        caption: above the table.
    """
    numbers = table.select_dtypes("number").columns
    shown = table.style.format(escape="html").format(number, na_rep="–", subset=numbers)
    for axis in ("index", "columns"):
        shown = shown.format_index(escape="html", axis=axis)
    return shown.set_caption(escape(caption)) if caption else shown


def class_shares(cohort: Cohort) -> pd.DataFrame:
    """How often each class occurs among the labelled images of each scanner, per split.

    Returns:
        Rows `class`, `scanner`, shares in [0, 1] in columns of splits. Of two classes only the
        second is shown.
    """
    known = cohort.table[cohort.table["label"] >= 0]
    shown = range(len(cohort.classes))[1 if len(cohort.classes) == 2 else 0 :]
    shares = {
        cohort.classes[code]: known["label"].eq(code).groupby([known["scanner"], known["split"]])
        for code in shown
    }
    tables = {name: grouped.mean().unstack("split") for name, grouped in shares.items()}
    return pd.concat(tables, names=["class"])[list(SPLITS)]


def grey_levels(cohort: Cohort) -> pd.DataFrame:
    """Mean and standard deviation of the training images' grey levels, one row per scanner."""
    columns = ["mean [0 to 255]", "standard deviation"]
    found = {s: grey_spread(cohort.images, cohort.rows("train", [s])) for s in cohort.scanners}
    return pd.DataFrame.from_dict(found, orient="index", columns=columns)


def ends_of_distillation(history: pd.DataFrame) -> pd.DataFrame:
    """How each run of self-distillation ended.

    Args:
        history: as of `companion.experiments.pretraining.pretraining_history`.
    """
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


def judged_generators(
    qualities: Mapping[str, pd.DataFrame], measures: Sequence[str]
) -> pd.DataFrame:
    """Some measures of the counterfactuals of every strategy, to be read: means over directions.

    Args:
        qualities: strategy to the `quality.csv` of its generator; a column each, in this order.
        measures: names in `quality.csv`, a row each; those that were not measured are left out.
    """
    labels = marks("simclr")
    columns = {labels[k].label: overview(each)["counterfactual"] for k, each in qualities.items()}
    table = pd.DataFrame(columns)
    return table.loc[[name for name in measures if name in table.index]]
