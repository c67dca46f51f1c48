"""What every notebook says first: data and seeds, what is not possible there, and caveats."""

from typing import TYPE_CHECKING

from companion.book.markdown import escape
from companion.cohorts.cohort import Cohort

if TYPE_CHECKING:
    from companion.experiments.config import Experiment


def heading(experiment: "Experiment", cohort: Cohort, *, unfolded: bool = False) -> str:
    """Markdown: one line that names cohort, profile and seeds, and unfolds to the caveats.

    Args:
        experiment: that the page shows.
        cohort: of the experiment.
        unfolded: show the caveats at once.

    Returns:
        Text with whatever stands in names and caveats escaped.
    """
    height, width = cohort.images.shape[1:]
    seeds = ", ".join(str(seed) for seed in experiment.pretraining.seeds)
    line = (
        f"Cohort <b>{escape(cohort.name)}</b> ({len(cohort)} images of {height} × {width} pixels), "
        f"profile <b>{escape(experiment.profile_name)}</b>, pretraining seeds {seeds}"
    )
    known = [*experiment.omissions, *cohort.info.get("caveats", [])]
    lines = [f"- {escape(each)}" for each in known]
    if cohort.info.get("citation"):
        lines += ["", f"Source: {escape(cohort.info['citation'])}"]
    if experiment.remark:
        line += f". <b>{escape(experiment.remark.rstrip('.'))}</b>"
    if not lines:
        return line
    state = " open" if unfolded else ""
    start = f'<details class="ccl-about"{state}><summary>{line}: what to know of it</summary>'
    return "\n".join([start, "", *lines, "", "</details>"])
