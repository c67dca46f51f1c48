"""What every notebook says first: data and seeds, what is not possible there, and caveats."""

from typing import TYPE_CHECKING

from companion.book.markdown import escape
from companion.cohorts.cohort import Cohort

if TYPE_CHECKING:
    from companion.experiments.config import Experiment


def heading(experiment: "Experiment", cohort: Cohort) -> str:
    """Markdown that names cohort, profile and seeds, with whatever stands in them escaped."""
    height, width = cohort.images.shape[1:]
    seeds = ", ".join(str(seed) for seed in experiment.pretraining.seeds)
    lines = [
        f"**Shown on this page:** cohort {escape(cohort.name)} ({len(cohort)} images of "
        f"{height} × {width} pixels), profile {escape(experiment.profile_name)}, "
        f"pretraining seeds {seeds}.",
        *(["", f"**{escape(experiment.remark)}**"] if experiment.remark else []),
        "",
        *(f"- {escape(omission)}" for omission in experiment.omissions),
        *(f"- {escape(caveat)}" for caveat in cohort.info.get("caveats", [])),
    ]
    if cohort.info.get("citation"):
        lines += ["", f"Source: {escape(cohort.info['citation'])}"]
    return "\n".join(lines)
