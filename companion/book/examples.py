"""The few images that the notebooks show: who is picked, and what is shown of them."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import ipywidgets
import numpy as np

from ccl.generator.generator import Generator, to_images
from ccl.pairs import Pairs
from companion.book.figures import marks, palette
from companion.book.figures.look import NOTHING_SAID, Initial
from companion.book.widgets.explorer import ExplorerItem, Target, explorer_html
from companion.book.widgets.jupyter import explore, explorer_widget
from companion.book.widgets.live import live
from companion.book.widgets.projection import projection_html
from companion.cohorts.cohort import Cohort, evenly
from companion.cohorts.truths import has_truth, true_counterfactual

POINTED_AT = 600  # images that a map on a page shows: thumbnails have to be sent along
NOTHING = "none"
UNLABELLED = "unlabelled"


def pick(
    cohort: Cohort, per_scanner: int, *, split: str = "test", held_out: bool = False, seed: int = 0
) -> np.ndarray:
    """Rows to show: the same number from each scanner, each of another patient.

    Args:
        cohort: where from.
        per_scanner: images of each scanner; the classes take turns.
        split: 'train', 'val' or 'test'.
        held_out: also from the held-out scanners.
        seed: of the choice.

    Returns:
        int64 row indices, scanner by scanner.
    """
    scanners = cohort.scanners + (cohort.held_out_scanners if held_out else ())
    rng = np.random.default_rng(seed)
    chosen = []
    for first, scanner in enumerate(scanners):
        rows = rng.permutation(cohort.rows(split, [scanner]))
        chosen.append(rows[_taking_turns(cohort, rows, first)[:per_scanner]])
    return np.concatenate(chosen)


def _taking_turns(cohort: Cohort, rows: np.ndarray, first: int) -> np.ndarray:
    """Positions in `rows`, one patient each, class after class beginning with class `first`."""
    table = cohort.table.iloc[rows].reset_index(drop=True).drop_duplicates("patient_id")
    order = table.assign(
        turn=table.groupby("label").cumcount(),
        label=(table["label"] - first) % len(cohort.classes),
    )
    return order.sort_values(["turn", "label"], kind="stable").index.to_numpy()


Cells = list[list[np.ndarray | None]]
Grid = tuple[Cells, list[str], list[str]]  # cells, column titles, row names


def cohort_grid(cohort: Cohort, rows: np.ndarray) -> Grid:
    """Patients on every scanner where that is known, else the patients of each scanner."""
    scanners = [*cohort.scanners, *cohort.held_out_scanners]
    origins = [str(scanner) for scanner in cohort.table["scanner"].iloc[rows]]
    if has_truth(cohort):
        rendered = [true_counterfactual(cohort, rows, {"scanner": scanner}) for scanner in scanners]
        same: Cells = [[images[i] for images in rendered] for i in range(len(rows))]
        findings = [cohort.classes[label] for label in cohort.table["label"].iloc[rows]]
        return same, scanners, [f"{o}\n{f}" for o, f in zip(origins, findings, strict=True)]
    of_each = {s: rows[[origin == s for origin in origins]] for s in scanners}
    width = max(len(some) for some in of_each.values())
    cells: Cells = [
        [np.asarray(cohort.images[row]) for row in some] + [None] * (width - len(some))
        for some in of_each.values()
    ]
    return cells, [""] * width, scanners


def interventions(generator: Generator) -> list[dict[str, str]]:
    """Every do() that sets the scanner and, where the graph has it, the sex."""
    known = generator.parents.values
    names = [name for name in ("scanner", "sex") if name in known]
    return [
        dict(zip(names, values, strict=True))
        for values in product(*(known[name] for name in names))
    ]


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
        label=_label(cohort, facts["label"]),
        real=np.asarray(cohort.images[row]),
        counterfactuals={target: images[position] for target, images in made.items()},
        truths={target: images[position] for target, images in true.items()},
        parents={name: values[int(codes[name])] for name, values in known.values.items()},
    )


def scanner_grid(cohort: Cohort, generator: Generator, rows: np.ndarray) -> Grid:
    """Each patient's image and what it would have been on every scanner.

    Returns:
        Cells row by row (on simulated cohorts a second row per patient holds the truth), the
        titles of the columns and the names of the rows, as `figures.image_grid` takes them.
    """
    exogenous = _abduct(cohort, generator, rows)
    made = [to_images(generator.predict(exogenous, do={"scanner": s})) for s in cohort.scanners]
    cells: Cells = []
    names: list[str] = []
    true = (
        [true_counterfactual(cohort, rows, {"scanner": s}) for s in cohort.scanners]
        if has_truth(cohort)
        else []
    )
    for i, row in enumerate(rows):
        real, scanner = np.asarray(cohort.images[row]), str(cohort.table["scanner"].iloc[row])
        cells.append([real, *(images[i] for images in made)])
        names.append(scanner)
        if true:
            cells.append([real, *(images[i] for images in true)])
            names.append("truth")
    return cells, ["Real", *(f"do({scanner})" for scanner in cohort.scanners)], names


def pair_grid(
    cohort: Cohort,
    pairs: Mapping[str, Pairs],
    rows: np.ndarray,
    seed: int = 0,
    objective: str = "simclr",
) -> Grid:
    """The two images that the views of a pair are cut from, for each strategy (row).

    Args:
        cohort: of the rows.
        pairs: strategy to its pairs.
        rows: (n,) rows of the cohort.
        seed: of the drawn target domains.
        objective: after which strategies are named.
    """
    cells: Cells = []
    for strategy in pairs.values():
        first, second = strategy.sources(rows, np.random.default_rng(seed))
        cells.append([view for both in zip(first, second, strict=True) for view in both])
    scanners = cohort.table["scanner"].iloc[rows]
    titles = [f"{scanner}\nview {view}" for scanner in scanners for view in (1, 2)]
    return cells, titles, [marks(objective)[name].label for name in pairs]


def colourings(cohort: Cohort, rows: np.ndarray) -> dict[str, list[str]]:
    """What maps of some images are coloured by: scanner, label and, where known, attribute."""
    table = cohort.table.iloc[rows]
    found = {
        "scanner": [str(scanner) for scanner in table["scanner"]],
        "label": [_label(cohort, label) for label in table["label"]],
    }
    attributes = [str(attribute) or NOTHING for attribute in cohort.attributes(rows)]
    return found | ({"attribute": attributes} if set(attributes) != {NOTHING} else {})


def palettes(cohort: Cohort, coloured: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    """A colour for each value of `colourings`, in the cohort's order of them."""
    orders = {
        "scanner": [*cohort.scanners, *cohort.held_out_scanners],
        "label": [*cohort.classes, UNLABELLED],
        "attribute": sorted(set(coloured.get("attribute", ())), key=lambda v: (v == NOTHING, v)),
    }
    return {
        by: palette([value for value in orders[by] if value in set(values)])
        for by, values in coloured.items()
    }


def projection_page(
    cohort: Cohort,
    maps: Mapping[str, np.ndarray],
    rows: np.ndarray,
    objective: str = "simclr",
    initial: Initial = NOTHING_SAID,
) -> str:
    """Maps that show the image pointed at, as HTML (`companion.book.widgets.projection`).

    Args:
        cohort: of the images.
        maps: strategy to the places of all images, (n, 2).
        rows: (n,) their rows; some of them are shown, all with an attribute among them.
        objective: of the encoders, for the titles.
        initial: what the encoders start from, `PretrainingOptions.initial_weights`.
    """
    spread = evenly(np.arange(len(rows)), POINTED_AT)
    some = np.union1d(spread, np.flatnonzero(cohort.attributes(rows) != ""))
    coloured = colourings(cohort, rows[some])
    facts = [
        ", ".join(value for value in (patient, *values) if value != NOTHING)
        for patient, *values in zip(
            cohort.table["patient_id"].iloc[rows[some]].astype(str), *coloured.values(), strict=True
        )
    ]
    return projection_html(
        {marks(objective, initial)[strategy].label: xy[some] for strategy, xy in maps.items()},
        np.asarray(cohort.images[rows[some]]),
        facts,
        coloured,
        palettes(cohort, coloured),
    )


def _label(cohort: Cohort, label: int) -> str:
    return cohort.classes[label] if label >= 0 else UNLABELLED
