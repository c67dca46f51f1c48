"""The explorer of a cohort and its generator, for a page and for a running notebook."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import ipywidgets
import numpy as np

from ccl.generator.generator import Generator, to_images
from companion.book.projections import label_name
from companion.book.widgets.explorer import ExplorerItem, Target, explorer_html
from companion.book.widgets.jupyter import explore, explorer_widget
from companion.book.widgets.live import live
from companion.cohorts.cohort import Cohort
from companion.cohorts.truths import has_truth, true_counterfactual


def explorer_page(cohort: Cohort, generator: Generator, rows: np.ndarray) -> str:
    """The explorer of some patients as HTML: computed in the page, or stored for a large generator.

    Args:
        cohort: of the patients.
        generator: makes the counterfactuals.
        rows: (n,) rows of pretraining scanners.
    """
    opened = live(generator)
    return explorer_html(explorer_items(cohort, generator, rows, stored=opened is None), opened)


def live_explorer(cohort: Cohort, generator: Generator, rows: np.ndarray) -> ipywidgets.DOMWidget:
    """The same for a running notebook; a large generator answers from the kernel."""
    opened = live(generator)
    if opened is not None:
        return explorer_widget(explorer_items(cohort, generator, rows, stored=False), opened)

    def decode(position: int, do: dict[str, str]) -> np.ndarray:
        exogenous = _abduct(cohort, generator, rows[[position]])
        return to_images(generator.predict(exogenous, do=do))[0]

    return explore(
        decode,
        explorer_items(cohort, generator, rows),
        scanners=generator.parents.values["scanner"],
        sexes=generator.parents.values.get("sex", ()),
    )


def explorer_items(
    cohort: Cohort, generator: Generator, rows: np.ndarray, *, stored: bool = True
) -> list[ExplorerItem]:
    """Some patients, with the truth of every intervention where it is known.

    Args:
        cohort: of the patients.
        generator: abducts once per patient and predicts under every intervention.
        rows: (n,) rows of pretraining scanners.
        stored: with their counterfactuals under every intervention.
    """
    targets = {_target(do): do for do in interventions(generator)}
    made, true = {}, {}
    if stored:
        exogenous = _abduct(cohort, generator, rows)
        made = {t: to_images(generator.predict(exogenous, do=do)) for t, do in targets.items()}
    if has_truth(cohort):
        true = {t: true_counterfactual(cohort, rows, do) for t, do in targets.items()}
    return [_item(cohort, generator, int(row), i, made, true) for i, row in enumerate(rows)]


def interventions(generator: Generator) -> list[dict[str, str]]:
    """Every do() that sets the scanner and, where the graph has it, the sex."""
    known = generator.parents.values
    names = [name for name in ("scanner", "sex") if name in known]
    return [
        dict(zip(names, values, strict=True))
        for values in product(*(known[name] for name in names))
    ]


def _target(do: Mapping[str, str]) -> Target:
    return do["scanner"], do.get("sex", "")


def _abduct(cohort: Cohort, generator: Generator, rows: np.ndarray) -> dict[str, Any]:
    return generator.abduct(*generator.observed(cohort, rows))


def _item(
    cohort: Cohort,
    generator: Generator,
    row: int,
    position: int,
    made: Mapping[Target, np.ndarray],
    true: Mapping[Target, np.ndarray],
) -> ExplorerItem:
    facts = cohort.table.iloc[row]
    known = generator.parents
    codes = known.codes(cohort, np.array([row]))
    return ExplorerItem(
        patient=str(facts["patient_id"]),
        scanner=str(facts["scanner"]),
        sex=str(facts["sex"]) if "sex" in known.values else "",
        label=label_name(cohort, facts["label"]),
        real=np.asarray(cohort.images[row]),
        counterfactuals={target: images[position] for target, images in made.items()},
        truths={target: images[position] for target, images in true.items()},
        parents={name: values[int(codes[name])] for name, values in known.values.items()},
    )
