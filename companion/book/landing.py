"""What the landing page shows of a build: the turning radiograph, the method, a picture a door."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ccl.generator.generator import Generator, counterfactuals, load
from companion.book import diagrams, forest
from companion.book.grids import pick
from companion.book.markdown import raw
from companion.book.verdicts import Verdicts
from companion.book.widgets.hero import Turning, hero_html
from companion.claims import ledger
from companion.claims.judging import Finding
from companion.cohorts.cohort import Cohort
from companion.engine import pointers

if TYPE_CHECKING:
    from companion.experiments.config import Experiment

PARTS = ("hero", "forest", "method", "door-reader", "door-lecturer", "door-researcher")
PATIENTS = 2  # of each scanner
SIMILARITIES = (0.7, 0.75, 0.5, 0.3, 0.05)  # of a pair and of four negatives, as in the lecture


def pages(experiment: "Experiment", verdicts: Verdicts) -> dict[str, str]:
    """Parts of the landing page of a finished experiment: file name to Markdown."""
    root = experiment.root
    cohort = Cohort.load(pointers.read_pointer(root, "cohort").folder)
    generator = load(pointers.read_pointer(root, "generator").folder)
    rows = forest.effects(*verdicts, ledger.load(), experiment.cohort_name)
    drawn = pictures(cohort, generator, verdicts.built) | {"forest": forest.forest_html(rows)}
    return {f"{name}.md": raw(html) for name, html in drawn.items()}


def pictures(cohort: Cohort, generator: Generator, findings: Sequence[Finding]) -> dict[str, str]:
    """The same as HTML; what shows counterfactuals is empty where the generator has no scanners."""
    return dict.fromkeys(PARTS, "") | {
        "door-lecturer": diagrams.softmax(SIMILARITIES, 0.2),
        "door-researcher": diagrams.intervals(_effects(findings)),
        **_of_patients(cohort, generator),
    }


def _of_patients(cohort: Cohort, generator: Generator) -> dict[str, str]:
    scanners = generator.parents.values.get("scanner", ())
    if len(scanners) < 2:
        return {}
    rows = pick(cohort, PATIENTS)
    made = counterfactuals(generator, cohort, rows, "scanner")
    own = cohort.codes("scanner", rows)
    patients = [Turning(int(k), images) for k, images in zip(own, made, strict=True)]
    first, other = patients[0], patients[1]
    asked = (first.own + 1) % len(scanners)
    names = (scanners[first.own], scanners[asked])
    real, counterfactual = first.images[first.own], first.images[asked]
    taking_turns = sorted(range(len(rows)), key=lambda i: i % PATIENTS)
    return {
        "hero": hero_html([patients[i] for i in taking_turns], scanners),
        "method": diagrams.method(real, counterfactual, other.images[other.own], names),
        "door-reader": diagrams.split_image(real, counterfactual, names),
    }


def _effects(findings: Sequence[Finding]) -> list[tuple[float, float, float]]:
    """Differences in AUC, with their intervals."""
    effects = [
        outcome.effect
        for finding in findings
        for outcome in finding.outcomes
        if outcome.effect is not None and outcome.effect.unit == "AUC"
    ]
    found = [(e.estimate.value, e.estimate.interval()) for e in effects]
    return [(value, low, high) for value, (low, high) in found]
