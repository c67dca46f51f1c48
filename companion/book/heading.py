"""What every notebook says first: data and seeds, what is not possible there, and caveats."""

from companion.book.templates import render
from companion.cohorts.cohort import Cohort
from companion.experiments.config import Experiment


def heading(experiment: Experiment, cohort: Cohort, *, unfolded: bool = False) -> str:
    """Markdown: one line that names cohort, profile and seeds, and unfolds to the caveats.

    Args:
        experiment: that the page shows.
        cohort: of the experiment.
        unfolded: show the caveats at once.
    """
    height, width = cohort.images.shape[1:]
    return render(
        "heading.md",
        cohort=cohort.name,
        images=len(cohort),
        height=height,
        width=width,
        profile=experiment.profile_name,
        seeds=", ".join(map(str, experiment.pretraining.seeds)),
        remark=experiment.remark.rstrip("."),
        known=[*experiment.omissions, *cohort.info.get("caveats", [])],
        citation=cohort.info.get("citation"),
        unfolded=unfolded,
    )
