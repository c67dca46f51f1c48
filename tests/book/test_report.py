"""Generated pages say what was found, and cannot be broken by names."""

import json
import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from companion.book import report
from companion.book.markdown import escape, table
from companion.claims import ledger
from companion.claims.contrasts import Setting, checked_results
from companion.claims.evidence import Evidence
from companion.claims.judging import Finding, judge
from companion.cohorts.cohort import Cohort
from tests.evaluation.made_up import evidence, papers_results, quality, records

HOSTILE = "<script>alert(1)</script> | `x` \n# heading"


def cohort(name: str = "made-up") -> Cohort:
    """Common scanner A, rare scanner B, held-out C."""
    frame = pd.DataFrame({"split": "train", "scanner": ["B"] + ["A"] * 9})
    info = {
        "name": name,
        "scanners": ["B", "A"],
        "held_out_scanners": ["C"],
        "caveats": [f"simulated {name}"],
    }
    return Cohort(Path(), info, np.zeros((10, 2, 2), np.uint8), frame)


@cache
def findings(seeds=(0, 1, 2)) -> list[Finding]:
    """Findings on results of the paper's shape."""
    return judge(ledger.load(), evidence(papers_results(seeds), quality=quality()))


def row(page: str, claim: str) -> str:
    """The table row of a claim."""
    return next(line for line in page.splitlines() if line.startswith(f"| **{claim}** "))


def test_claims_stand_in_a_table_with_effect_verdict_and_figure() -> None:
    page = report.claims_page(findings(), cohort(), "quick")
    assert "**supported**" in row(page, "C3")
    assert "{numref}`fig-probing-gain`" in row(page, "C3")
    effect = re.search(r"\+(0\.\d{3}) \(\+(0\.\d{3}) to \+(0\.\d{3})\)", row(page, "C3"))
    assert effect is not None
    value, low, high = map(float, effect.groups())
    assert low < value < high
    assert row(page, "C2").count(" of the labels") == 3  # each share by itself
    assert "97.0%" in row(page, "C1")


def test_remarks_on_the_profile_stand_before_the_verdicts_and_caveats_after() -> None:
    page = report.claims_page(
        *(findings(), cohort(), "tiny"),
        remark=f"Means nothing. {HOSTILE}",
        omissions=[f"No oracle. {HOSTILE}"],
    )
    before, _, _ = page.partition("**C1**")
    assert "```{warning}\nMeans nothing. " in before
    _, _, caveats = page.partition("About this cohort")
    assert "- No oracle. " in caveats
    assert "- simulated made-up" in caveats
    assert "<script>" not in page
    assert "{warning}" not in report.claims_page(findings(), cohort(), "quick")


def test_claims_that_were_not_tested_are_listed_with_the_reason() -> None:
    page = report.claims_page(findings(), cohort(), "quick")
    listed = [line for line in page.splitlines() if line.startswith("- C")]
    assert [line.split(":")[0] for line in listed] == [
        f"- {name}" for name in ("C5", "C7", "C9", "C10", "C11", "C12", "C13", "C14")
    ]
    assert all(re.search(r"\*[^*]+\*$", line) for line in listed)
    in_part = row(page, "C8")
    assert "**not supported**" in in_part
    assert "not tested here" in in_part
    assert "CF-DINO was not run" in in_part


def test_the_page_says_what_the_intervals_are_over() -> None:
    three = report.claims_page(findings(), cohort(), "study")
    assert "other pretraining seeds, on these test patients (3 seeds)" in three
    assert "other test patients, for this generator" in three
    one = report.claims_page(findings(seeds=(0,)), cohort(), "quick")
    assert "other test patients, for these encoders only" in one
    assert "one pretraining seed, which decides nothing" in row(one, "C3")


def test_published_values_stand_beside_ours() -> None:
    frame = papers_results().assign(cohort="padchest", test_cohort="padchest")
    setting = Setting("padchest", ("A", "B"), ("C",))
    known = Evidence(setting, checked_results(frame, setting, "results.csv"))
    found = judge(ledger.load().subset(["C6"]), known)
    assert "; published: +0.0" in row(report.claims_page(found, cohort("padchest"), "p"), "C6")
    assert "published:" not in report.claims_page(findings(), cohort(), "quick")


def test_nothing_tested_makes_no_empty_table() -> None:
    untested = [f for f in findings() if f.verdict == "not tested here"]
    page = report.claims_page(untested, cohort(), "tiny")
    assert "|" not in page
    assert "Intervals" not in page


def test_pages_come_from_the_folders_of_an_experiment(tmp_path: Path, monkeypatch) -> None:
    record = {"label": "", "digest": "0123", "seconds": 1.25, "peak_memory_mib": 300}
    record |= {"finished": "2026-01-01T00:00:00", "python": "3.11", "git_revision": "abc"}
    record |= {"device": "CPU", "versions": {"torch": "2.15"}}
    (tmp_path / "steps").mkdir()
    for step in ("cohort", "quality"):
        folder = tmp_path / step / "0123"
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(record | {"step": step}))
        pointer = {"folder": f"{step}/0123", "digest": "0123"}
        (tmp_path / "steps" / f"{step}.json").write_text(json.dumps(pointer))
    quality().to_csv(tmp_path / "quality" / "0123" / "quality.csv", index=False)
    papers_results().to_csv(tmp_path / "results.csv", index=False)
    (tmp_path / "notebooks").mkdir()
    notebook = {"metadata": {"papermill": {"duration": 3.5, "end_time": "2026-01-01T00:00:05"}}}
    (tmp_path / "notebooks" / "probing.ipynb").write_text(json.dumps(notebook))
    monkeypatch.setattr("companion.cohorts.cohort.Cohort.load", lambda folder: cohort())
    experiment = SimpleNamespace(
        root=tmp_path, profile_name="quick", cohort_name="made-up", remark="", omissions=[]
    )
    pages = report.pages([experiment], {"made-up": report.verdicts_on(experiment)})
    assert "**supported**" in row(pages["claims.md"], "C1")
    assert "**supported**" in row(pages["claims.md"], "C2")
    assert all(text in pages["status.md"] for text in ("0123", "probing", "3.5", "2.15", "abc"))


def test_a_step_whose_whole_time_is_not_known_took_more_than_is_shown() -> None:
    run = {"step": "bank", "digest": "0", "seconds": 3.5, "peak_memory_mib": 1, "finished": ""}
    assert "more than 3.5" in report.status_page([run | {"continued": True}], {})
    assert "more than" not in report.status_page([run], {})


def test_names_cannot_break_the_pages() -> None:
    content = ledger.load().model_dump()
    content["encoders"][HOSTILE] = content["encoders"].pop("CF-SimCLR")
    text = json.dumps(content).replace('"CF-SimCLR"', json.dumps(HOSTILE))
    hostile = json.loads(text)
    for claim in hostile["claims"]:
        claim |= {"statement": HOSTILE, "where": HOSTILE, "note": HOSTILE}
    found = judge(
        ledger.Ledger.model_validate(hostile),
        evidence(papers_results(), quality=quality(), records=records()),
    )
    page = report.claims_page(found, cohort(HOSTILE), HOSTILE)
    assert "<script" not in page
    assert "\n# heading" not in page
    rows = [line for line in page.splitlines() if line.startswith("| **C")]
    assert len(rows) >= 6
    assert {line.count("|") for line in rows} == {4}
    assert all(
        line.startswith(("- C", "- simulated")) for line in page.splitlines() if "- " in line[:2]
    )


def test_markdown_tables_escape_every_cell() -> None:
    assert table(("a",), [(HOSTILE,)]).count("\n") == 3
    assert escape("a|b") == "a&#124;b"
    assert escape("{x}`$") == "&#123;x&#125;&#96;&#36;"


def test_a_part_that_failed_on_the_gpu_says_why(tmp_path: Path) -> None:
    parts = {
        "bank": {"batch_size": 64, "images_per_second": 434.1, "ratio": 1.76},
        "dino": {"failed": "OutOfMemoryError: <none left>"},
    }
    machine = {"device": "GPU", "torch": "2", "date": "2026-01-01"}
    file = tmp_path / "gpu.json"
    file.write_text(json.dumps({"machine": machine, "size": 224, "parts": parts}))
    page = report.gpu_table(file)
    assert "| bank | 64 | 434 |  |  | 1.76 |" in page
    assert "<none" not in page
    assert "OutOfMemoryError" in page
    assert "times" in report.gpu_table(report.GPU).lower()
