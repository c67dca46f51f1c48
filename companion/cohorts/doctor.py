"""What a folder is, what it lacks, and what would be imported from it; no image is read."""

import difflib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from companion.cohorts.cohort import UNLABELLED, count_images
from companion.cohorts.errors import CohortError
from companion.cohorts.importing import plan as plans
from companion.cohorts.importing import release as releases
from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.release import ImportOptions, Release
from companion.cohorts.registry import SOURCES, make_plan

_MAX_ENTRIES = 100  # entries of an unknown folder


@dataclass(frozen=True)
class Finding:
    """What the doctor says.

    Attributes:
        source: the source that the folder is one of, '' if none.
        text: for people.
        healthy: whether an import would begin as things are.
    """

    source: str
    text: str
    healthy: bool


def recognise(root: Path) -> str:
    """The source whose release a folder looks like most; '' if like none.

    Raises:
        CohortError: it is no folder.
    """
    if not root.is_dir():
        raise CohortError(f"{root} is no folder")
    fits = {name: _fit(root, source.options.release) for name, source in SOURCES.items()}
    best = max(fits, key=lambda name: fits[name])
    return best if fits[best] > (0, 0) else ""


def _fit(root: Path, release: Release) -> tuple[int, int]:
    """How well a folder fits: needs met; of as many, the fewer are missing the better.

    The first need is the most telling. Any folder may hold images, so another alone says nothing.
    """
    missing = release.missing(root)
    found = len(release.needs) - len(missing)
    telling = found > 1 or next(iter(release.needs)) not in missing
    return (found, -len(missing)) if telling else (0, 0)


def examine(root: Path, options: ImportOptions | None = None) -> Finding:
    """What an import from a folder would begin with; no image is read.

    Args:
        root: a data root.
        options: of the source to look for; None: whichever the folder looks like, by default
            options.

    Raises:
        CohortError: it is no folder.
    """
    name = recognise(root) if options is None else options.source
    if not name:
        return Finding("", _unknown(root), healthy=False)
    options = options or SOURCES[name].options.model_validate({})
    release = options.release
    lines = [f"{root} looks like {release.title} (source '{name}')."]
    lines += [f"Missing: {need} ({release.needs[need]})." for need in release.missing(root)]
    try:
        plan = make_plan(options, root)
        plans.check(plan)
    except CohortError as error:
        lines.append(f"It cannot be imported: {error}")
        if release.access:
            lines.append(f"To get {release.title}: {release.access}.")
        return Finding(name, "\n".join(lines), healthy=False)
    absent = _missing_images(plan)
    lines += [*_contents(plan), *absent]
    return Finding(name, "\n".join(lines), healthy=not absent)


def _unknown(root: Path) -> str:
    """What was looked for in a folder that is nothing known, and what may have been meant."""
    lines = [f"{root} is none of the known releases, and holds no manifest.csv."]
    below = [path for path in sorted(root.iterdir())[:_MAX_ENTRIES] if path.is_dir()]
    for near in (*below, root.resolve().parent):
        if name := recognise(near):
            lines.append(f"But {near} looks like {SOURCES[name].options.release.title}: give that.")
    for name, source in SOURCES.items():
        release = source.options.release
        lines.append(f"  {release.title} (source '{name}') has {'; '.join(release.needs)}")
    tables = sorted(path.name for path in root.glob("*.csv"))
    if tables:
        close = difflib.get_close_matches("manifest.csv", tables, 1, 0) or tables
        lines.append(f"To import '{close[0]}' as a manifest, name it and its columns in a profile.")
    return "\n".join(lines)


def _contents(plan: Plan) -> list[str]:
    """Counts by split, scanner and label, what is left out, caveats, and the paper's counts."""
    patients = plan.rows["patient_id"].nunique()
    lines = [f"Would be imported: {len(plan.rows):,} images of {patients:,} patients."]
    lines += _table_of_counts(plan)
    lines += [f"Left out, {reason}: {n:,}." for reason, n in plan.left_out.items() if n]
    if plan.options.evaluation_only:
        lines.append("No other scanner to go to: the cohort can test encoders, not train them.")
    if compared := plan.compare_with_paper():
        lines.append(releases.summary(compared))
    return [*lines, *(f"Caveat: {caveat}" for caveat in plan.caveats)]


def _table_of_counts(plan: Plan) -> list[str]:
    """Images by split, scanner and label, in columns of even width."""
    header = ["split", "scanner", *plan.classes, UNLABELLED]
    rows = [
        [split, scanner, *(f"{cell.get(name, 0):,}" for name in header[2:])]
        for split, scanners in count_images(plan.rows, plan.classes).items()
        for scanner, cell in scanners.items()
    ]
    table = pd.DataFrame([header, *rows])
    for place, cells in table.items():
        names = place in (0, 1)
        table[place] = cells.str.pad(cells.str.len().max(), "right" if names else "left")
    return [("  " + "  ".join(line)).rstrip() for line in table.itertuples(index=False)]


def _missing_images(plan: Plan) -> list[str]:
    """How many of the images are not there, and the first of them."""
    if plan.archive:
        return []
    paths = plan.rows["source_path"]
    missing = [path for path in paths if not (plan.root / path).is_file()]
    if not missing:
        return []
    return [
        f"Missing: {len(missing):,} of {len(paths):,} images, the first is {missing[0]}. Get them, "
        "or import the rest with --on-bad-image=skip."
    ]
