"""Grids of images that the pages show, and who is picked for them."""

from collections.abc import Mapping

import numpy as np

from ccl.generator.generator import Generator, to_images
from ccl.pairs import Pairs
from companion.book.figures import marks
from companion.cohorts.cohort import Cohort
from companion.cohorts.truths import has_truth, true_counterfactual

Cells = list[list[np.ndarray | None]]
Grid = tuple[Cells, list[str], list[str]]  # cells, column titles, row names


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


def scanner_grid(cohort: Cohort, generator: Generator, rows: np.ndarray) -> Grid:
    """Each patient's image and what it would have been on every scanner.

    Returns:
        Cells row by row (on simulated cohorts a second row per patient holds the truth), the
        titles of the columns and the names of the rows, as `figures.image_grid` takes them.
    """
    exogenous = generator.abduct(*generator.observed(cohort, rows))
    targets = [{"scanner": scanner} for scanner in cohort.scanners]
    kinds = {"made": [to_images(generator.predict(exogenous, do=do)) for do in targets]}
    if has_truth(cohort):
        kinds["truth"] = [true_counterfactual(cohort, rows, do) for do in targets]
    cells: Cells = []
    names: list[str] = []
    for i, row in enumerate(rows):
        for kind, images in kinds.items():
            cells.append([np.asarray(cohort.images[row]), *(some[i] for some in images)])
            names.append("truth" if kind == "truth" else str(cohort.table["scanner"].iloc[row]))
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
