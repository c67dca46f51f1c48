"""Pages of the book that are made from what was computed: verdicts on claims, and the status."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from companion.book import record
from companion.book.markdown import escape, table
from companion.book.verdicts import Verdicts
from companion.claims.judging import Finding, Outcome, Verdict
from companion.cohorts.cohort import Cohort
from companion.engine import pointers
from companion.engine.storage import read_json
from companion.evaluation.cost import whole_record

GPU = record.FOLDER / "gpu.json"  # made by benchmarks/gpu.py

if TYPE_CHECKING:
    from companion.experiments.config import Experiment


def claims_page(
    findings: Sequence[Finding],
    cohort: Cohort,
    profile: str,
    figures: str = "",
    recorded: Sequence[Finding] = (),
    remark: str = "",
    omissions: Sequence[str] = (),
) -> str:
    """The claim table as Markdown, to be included in the page of claims.

    Args:
        findings: on the claims, in order.
        cohort: that they are about.
        profile: that they were made with.
        figures: what the names of this cohort's figures begin with.
        recorded: what the recorded study found on the same cohort, if it has that.
        remark: what a reader must know of the profile.
        omissions: what the profile asks for and the cohort cannot have, in sentences.
    """
    known = {finding.claim.id: finding for finding in recorded}
    tested = [finding for finding in findings if finding.verdict != Verdict.untested]
    later = [finding for finding in findings if finding.verdict == Verdict.untested]
    text = f"Cohort {escape(cohort.name)}, profile {escape(profile)}.\n\n"
    if remark:
        text += f"```{{warning}}\n{escape(remark)}\n```\n\n"
    if tested:
        # Three columns, so that a phone can show them.
        rows = ["| The paper says | Effect here | Verdict |", "| --- | --- | --- |"]
        text += (
            "\n".join(
                [*rows, *(_claim_row(each, figures, known.get(each.claim.id)) for each in tested)]
            )
            + "\n\n"
            + _intervals(tested)
        )
    if later:
        text += f"\n{Verdict.untested.capitalize()}:\n\n"
        text += "".join(
            f"- {finding.claim.id}: {escape(finding.claim.statement)} "
            f"({escape(finding.claim.where)}). *{escape(finding.reason)}*"
            f"{_in_record(known.get(finding.claim.id))}\n"
            for finding in later
        )
    return text + _caveats([*omissions, *cohort.info.get("caveats", [])])


def _claim_row(finding: Finding, figures: str, recorded: Finding | None) -> str:
    claim = finding.claim
    says = f"**{claim.id}** {escape(claim.statement)} ({escape(claim.where)})"
    if claim.note:
        says += f"<br>*{escape(claim.note)}*"
    known = {outcome.label: outcome for outcome in recorded.outcomes} if recorded else {}
    effects = "<br>".join(_effect(each, known.get(each.label)) for each in finding.outcomes)
    verdict = f"**{finding.verdict}**"
    if finding.reason:
        verdict += f"<br>{escape(finding.reason)}"
    verdict += _in_record(recorded, "<br>")
    if claim.figure:
        verdict += f"<br>{{numref}}`{figures}{claim.figure}`"
    return f"| {says} | {effects} | {verdict} |"


def _in_record(recorded: Finding | None, before: str = " ") -> str:
    return "" if recorded is None else f"{before}*In the record:* **{recorded.verdict}**"


def _effect(outcome: Outcome, recorded: Outcome | None) -> str:
    """What a test measured, in words and numbers; its own verdict, and that of the record."""
    text = f"*{escape(outcome.label)}*<br>"
    if outcome.effect is None:
        return text + f"{outcome.verdict}"
    text += f"{escape(outcome.interval_text)}, {outcome.verdict}"
    if recorded is not None and recorded.effect is not None:
        text += f"<br>in the record: {escape(recorded.interval_text)}, {recorded.verdict}"
    if outcome.published is not None:
        text += f"; published: {escape(f'{outcome.published:+.3f}')}"
    return text


def _intervals(tested: Sequence[Finding]) -> str:
    """What the intervals of the table are over."""
    covers = dict.fromkeys(
        outcome.effect.covers + (f" ({outcome.effect.seeds} seeds)" * (outcome.effect.seeds > 1))
        for finding in tested
        for outcome in finding.outcomes
        if outcome.effect is not None and outcome.effect.covers
    )
    return (
        "Intervals: 95 % over all tests of a claim together (Holm), over "
        + "; or over ".join(map(escape, covers))
        + ".\n"
    )


def _caveats(caveats: Sequence[str]) -> str:
    if not caveats:
        return ""
    lines = "\n".join(f"- {escape(caveat)}" for caveat in caveats)
    return f"\n```{{admonition}} About this cohort\n:class: note\n{lines}\n```\n"


def gpu_table(file: Path) -> str:
    """What `benchmarks/gpu.py` measured, as Markdown: a row per network and way."""
    measured = read_json(file)
    rows = [
        (
            name,
            str(row.get("batch_size", "")),
            _number(row, "images_per_second", ".0f"),
            _number(row, "seconds_per_step", ".4f"),
            _number(row, "peak_memory_mib", ".0f"),
            row.get("failed") or _number(row, "ratio", ".2f"),
        )
        for name, row in measured["parts"].items()
    ]
    where = measured["machine"]
    head = (
        "What",
        "Batch",
        "Images/s",
        "s per step",
        "Peak memory [MiB]",
        "Times the published way",
    )
    return (
        f"Measured on {escape(where['device'])}, torch {escape(where['torch'])}, "
        f"{escape(where['date'])}, images of {measured['size']} pixels:\n\n{table(head, rows)}"
    )


def _number(row: Mapping[str, Any], name: str, form: str) -> str:
    return format(row[name], form) if row.get(name) is not None else ""


def status_page(
    runs: Sequence[Mapping[str, Any]], notebooks: Mapping[str, Mapping[str, Any]]
) -> str:
    """Versions, times and digests of everything that the book shows, as Markdown.

    Args:
        runs: the parsed `run.json` of each finished step.
        notebooks: name to the `papermill` metadata of each executed notebook.
    """
    text = "# Status\n\nWhat this book was built from. Equal digests mean equal options, inputs"
    text += " and code.\n\n## Steps\n\n"
    text += table(
        ("Step", "Digest", "Time [s]", "Peak memory [MiB]", "Finished [UTC]"),
        [
            (
                f"{run.get('cohort', '')}: {run['step']} {run.get('label', '')}".strip(),
                run["digest"],
                ("more than " * bool(run.get("continued"))) + f"{run['seconds']:.1f}",
                run["peak_memory_mib"],
                _minute(run["finished"]),
            )
            for run in runs
        ],
    )
    text += "\n## Notebooks\n\n"
    text += table(
        ("Notebook", "Time [s]", "Executed [UTC]"),
        [
            (
                name,
                f"{meta.get('duration') or float('nan'):.1f}",
                _minute(meta.get("end_time", "")),
            )
            for name, meta in notebooks.items()
        ],
    )
    text += "\n## Environment\n\n"
    return text + table(("What", "Which"), _environment(runs))


def _minute(time: object) -> str:
    """An ISO time down to the minute."""
    return str(time)[:16].replace("T", " ")


def _environment(runs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Each fact once, with all its values where steps were made in different environments."""
    facts: dict[str, list[str]] = {}
    for run in runs:
        here = {name: run[name] for name in ("python", "git_revision", "device") if name in run}
        for name, value in {**here, **run.get("versions", {})}.items():
            values = facts.setdefault(name.replace("_", " "), [])
            if str(value) not in values:
                values.append(str(value))
    return [(name, ", ".join(values)) for name, values in facts.items()]


# From an experiment's folders


def pages(experiments: Sequence["Experiment"], verdicts: Mapping[str, Verdicts]) -> dict[str, str]:
    """The generated pages of the book: file name in `book/executed/` to Markdown.

    Args:
        experiments: finished, the main one first; their steps are found through `steps/*.json`.
        verdicts: by the names of the cohorts that have some.
    """
    main, *beside = experiments
    figures = {main.cohort_name: ""} | {e.cohort_name: f"{e.cohort_name}-" for e in beside}
    return {
        "claims.md": "\n".join(
            _claims_of(each, verdicts[each.cohort_name], figures[each.cohort_name])
            for each in experiments
            if each.cohort_name in verdicts
        ),
        "gpu.md": gpu_table(GPU),
        "status.md": status_page(
            [record for experiment in experiments for record in _records(experiment)],
            {
                f"{experiment.cohort_name}: {path.stem}": _papermill(path)
                for experiment in experiments
                for path in executed_notebooks(experiment)
            },
        ),
    }


def _claims_of(experiment: "Experiment", verdicts: Verdicts, figures: str) -> str:
    cohort = Cohort.load(pointers.read_pointer(experiment.root, "cohort").folder)
    return claims_page(
        verdicts.built,
        cohort,
        experiment.profile_name,
        figures,
        verdicts.recorded,
        experiment.remark,
        experiment.omissions,
    )


def _records(experiment: "Experiment") -> list[dict[str, Any]]:
    """Records of the finished steps, in the order in which they were finished."""
    root = experiment.root
    files = sorted((root / "steps").glob("*.json"), key=lambda path: path.stat().st_mtime)
    runs = [pointers.read_pointer(root, file.stem) for file in files]
    return [{**whole_record(run), "cohort": experiment.cohort_name} for run in runs]


def executed_notebooks(experiment: "Experiment") -> list[Path]:
    """An experiment's executed notebooks."""
    return sorted((experiment.root / "notebooks").glob("*.ipynb"))


def _papermill(notebook: Path) -> dict[str, Any]:
    """What papermill noted of an execution."""
    noted: dict[str, Any] = read_json(notebook)["metadata"].get("papermill", {})
    return noted
