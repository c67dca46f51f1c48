"""Pages of the book that are made from what was computed: verdicts on claims, and the status."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from companion.book import record
from companion.book.markdown import escape, table
from companion.book.templates import render
from companion.claims import ledger
from companion.claims.evidence import read_evidence
from companion.claims.judging import Finding, Verdict, judge
from companion.cohorts.cohort import Cohort
from companion.engine import pointers
from companion.engine.storage import read_json
from companion.evaluation.cost import whole_record
from companion.experiments.config import Experiment

GPU = record.FOLDER / "gpu.json"  # made by benchmarks/gpu.py


class Verdicts(NamedTuple):
    """What the claims come to on one cohort.

    Attributes:
        built: on the results of this build.
        recorded: on those of the record; empty where it has none of the cohort.
    """

    built: Sequence[Finding]
    recorded: Sequence[Finding] = ()


def verdicts_on(experiment: Experiment) -> Verdicts:
    """The verdicts on a finished experiment, and on the record of its cohort.

    Raises:
        FileNotFoundError: there are no results yet.
    """
    built = judge(ledger.load(), read_evidence(experiment.root))
    return Verdicts(built, record.findings_on(experiment.cohort_name))


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
    tested = [finding for finding in findings if finding.verdict != Verdict.untested]
    return render(
        "claims.md",
        cohort=cohort.name,
        profile=profile,
        figures=figures,
        remark=remark,
        caveats=[*omissions, *cohort.info.get("caveats", [])],
        tested=tested,
        later=[finding for finding in findings if finding.verdict == Verdict.untested],
        covers=_covers(tested),
        recorded={finding.claim.id: finding.verdict for finding in recorded},
        outcomes={(each.claim.id, o.label): o for each in recorded for o in each.outcomes},
    )


def _covers(tested: Sequence[Finding]) -> list[str]:
    """What the intervals of the table are over."""
    effects = [outcome.effect for finding in tested for outcome in finding.outcomes]
    covers = dict.fromkeys(
        each.covers + (f" ({each.seeds} seeds)" if each.seeds > 1 else "")
        for each in effects
        if each is not None and each.covers
    )
    return list(covers)


def gpu_table(file: Path) -> str:
    """What `benchmarks/gpu.py` measured, as Markdown: a row per network and way."""
    measured = read_json(file)
    forms = {
        "batch_size": ("Batch", ""),
        "images_per_second": ("Images/s", ".0f"),
        "seconds_per_step": ("s per step", ".4f"),
        "peak_memory_mib": ("Peak memory [MiB]", ".0f"),
        "ratio": ("Times the published way", ".2f"),
    }
    rows = []
    for name, row in measured["parts"].items():
        known = {key: row[key] for key in forms if row.get(key) is not None}
        cells = {key: format(value, forms[key][1]) for key, value in known.items()}
        cells["ratio"] = row.get("failed") or cells.get("ratio", "")
        rows.append((name, *(cells.get(key, "") for key in forms)))
    where = measured["machine"]
    return (
        f"Measured on {escape(where['device'])}, torch {escape(where['torch'])}, "
        f"{escape(where['date'])}, images of {measured['size']} pixels:\n\n"
        + table(("What", *(title for title, _ in forms.values())), rows)
    )


def status_page(
    runs: Sequence[Mapping[str, Any]], notebooks: Mapping[str, Mapping[str, Any]]
) -> str:
    """Versions, times and digests of everything that the book shows, as Markdown.

    Args:
        runs: the parsed `run.json` of each finished step.
        notebooks: name to the `papermill` metadata of each executed notebook.
    """
    steps = [
        (
            f"{run.get('cohort', '')}: {run['step']} {run.get('label', '')}".strip(),
            run["digest"],
            ("more than " if run.get("continued") else "") + f"{run['seconds']:.1f}",
            run["peak_memory_mib"],
            _minute(run["finished"]),
        )
        for run in runs
    ]
    executed = [
        (name, f"{meta.get('duration') or float('nan'):.1f}", _minute(meta.get("end_time", "")))
        for name, meta in notebooks.items()
    ]
    return "\n".join(
        [
            "# Status\n\nWhat this book was built from. Equal digests mean equal options, inputs "
            "and code.\n\n## Steps\n",
            table(("Step", "Digest", "Time [s]", "Peak memory [MiB]", "Finished [UTC]"), steps),
            "## Notebooks\n",
            table(("Notebook", "Time [s]", "Executed [UTC]"), executed),
            "## Environment\n",
            table(("What", "Which"), _environment(runs)),
        ]
    )


def _minute(time: object) -> str:
    """An ISO time down to the minute."""
    return str(time)[:16].replace("T", " ")


def _environment(runs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Each fact once, with all its values where steps were made in different environments."""
    facts: dict[str, dict[str, None]] = {}
    for run in runs:
        here = {name: run[name] for name in ("python", "git_revision", "device") if name in run}
        for name, value in {**here, **run.get("versions", {})}.items():
            facts.setdefault(name.replace("_", " "), {})[str(value)] = None
    return [(name, ", ".join(values)) for name, values in facts.items()]


def pages(experiments: Sequence[Experiment], verdicts: Mapping[str, Verdicts]) -> dict[str, str]:
    """The generated pages of the book: file name in `book/executed/` to Markdown.

    Args:
        experiments: finished, the main one first; their steps are found through `steps/*.json`.
        verdicts: by the names of the cohorts that have some.
    """
    main = experiments[0].cohort_name
    claims = [
        claims_page(
            verdicts[each.cohort_name].built,
            Cohort.load(pointers.read_pointer(each.root, "cohort").folder),
            each.profile_name,
            "" if each.cohort_name == main else f"{each.cohort_name}-",
            verdicts[each.cohort_name].recorded,
            each.remark,
            each.omissions,
        )
        for each in experiments
        if each.cohort_name in verdicts
    ]
    notebooks = {
        f"{experiment.cohort_name}: {path.stem}": read_json(path)["metadata"].get("papermill", {})
        for experiment in experiments
        for path in executed_notebooks(experiment)
    }
    runs = [run for experiment in experiments for run in _runs(experiment)]
    return {
        "claims.md": "\n".join(claims),
        "gpu.md": gpu_table(GPU),
        "status.md": status_page(runs, notebooks),
    }


def _runs(experiment: Experiment) -> list[dict[str, Any]]:
    """Records of the finished steps, in the order in which they were finished."""
    files = (experiment.root / "steps").glob("*.json")
    names = [file.stem for file in sorted(files, key=lambda file: file.stat().st_mtime)]
    runs = [pointers.read_pointer(experiment.root, name) for name in names]
    return [{**whole_record(run), "cohort": experiment.cohort_name} for run in runs]


def executed_notebooks(experiment: Experiment) -> list[Path]:
    """An experiment's executed notebooks."""
    return sorted((experiment.root / "notebooks").glob("*.ipynb"))
