"""Generated pages say what was found, and cannot be broken by names."""

import json
import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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
    info = {"name": name, "scanners": ["B", "A"], "held_out_scanners": ["C"]}
    info["caveats"] = [f"simulated {name}"]
    return Cohort(Path(), info, np.zeros((10, 2, 2), np.uint8), frame)


@cache
def findings(seeds: tuple[int, ...] = (0, 1, 2)) -> list[Finding]:
    """Findings on results of the paper's shape."""
    return judge(ledger.load(), evidence(papers_results(seeds), quality=quality()))


@cache
def page(seeds: tuple[int, ...] = (0, 1, 2)) -> str:
    return report.claims_page(findings(seeds), cohort(), "quick")


def row(page: str, claim: str) -> str:
    """The table row of a claim."""
    return next(line for line in page.splitlines() if line.startswith(f"| **{claim}** "))


def test_claims_stand_in_a_table_with_effect_verdict_and_figure() -> None:
    assert "**supported**" in row(page(), "C3")
    assert "{numref}`fig-probing-gain`" in row(page(), "C3")
    effect = re.search(r"\+(0\.\d{3}) \(\+(0\.\d{3}) to \+(0\.\d{3})\)", row(page(), "C3"))
    assert effect is not None
    value, low, high = map(float, effect.groups())
    assert low < value < high
    assert row(page(), "C2").count(" of the labels") == 3  # each share by itself
    assert "97.0%" in row(page(), "C1")
    assert "other pretraining seeds, on these test patients (3 seeds)" in page()
    assert "other test patients, for this generator" in page()
    assert "published:" not in page()
    one = page(seeds=(0,))
    assert "other test patients, for these encoders only" in one
    assert "one pretraining seed, which decides nothing" in row(one, "C3")


def test_remarks_on_the_profile_stand_before_the_verdicts_and_caveats_after() -> None:
    remark, omissions = f"Means nothing. {HOSTILE}", [f"No oracle. {HOSTILE}"]
    shown = report.claims_page(findings(), cohort(), "tiny", remark=remark, omissions=omissions)
    before, _, _ = shown.partition("**C1**")
    assert "```{warning}\nMeans nothing. " in before
    _, _, caveats = shown.partition("About this cohort")
    assert "- No oracle. " in caveats
    assert "- simulated made-up" in caveats
    assert "<script>" not in shown
    assert "{warning}" not in page()


def test_claims_that_were_not_tested_are_listed_with_the_reason() -> None:
    listed = [line for line in page().splitlines() if line.startswith("- C")]
    names = ("C5", "C7", "C9", "C10", "C11", "C12", "C13", "C14")
    assert [line.split(":")[0] for line in listed] == [f"- {name}" for name in names]
    assert all(re.search(r"\*[^*]+\*$", line) for line in listed)
    in_part = row(page(), "C8")
    assert "**not supported**" in in_part
    assert "not tested here" in in_part
    assert "CF-DINO was not run" in in_part
    untested = [finding for finding in findings() if finding.verdict == "not tested here"]
    alone = report.claims_page(untested, cohort(), "tiny")
    assert "|" not in alone
    assert "Intervals" not in alone


def test_published_values_stand_beside_ours() -> None:
    frame = papers_results().assign(cohort="padchest", test_cohort="padchest")
    setting = Setting("padchest", ("A", "B"), ("C",))
    known = Evidence(setting, checked_results(frame, setting, "results.csv"))
    found = judge(ledger.load().subset(["C6"]), known)
    assert "; published: +0.0" in row(report.claims_page(found, cohort("padchest"), "p"), "C6")


def write(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def test_pages_come_from_the_folders_of_an_experiment(tmp_path: Path, monkeypatch) -> None:
    about = {"label": "", "digest": "0123", "seconds": 1.25, "peak_memory_mib": 300}
    about |= {"finished": "2026-01-01T00:00:00", "python": "3.11", "git_revision": "abc"}
    about |= {"device": "CPU", "versions": {"torch": "2.15"}}
    for step in ("cohort", "quality"):
        write(tmp_path / step / "0123" / "run.json", about | {"step": step})
        pointer = {"folder": f"{step}/0123", "digest": "0123"}
        write(tmp_path / "steps" / f"{step}.json", pointer)
    quality().to_csv(tmp_path / "quality" / "0123" / "quality.csv", index=False)
    papers_results().to_csv(tmp_path / "results.csv", index=False)
    noted = {"papermill": {"duration": 3.5, "end_time": "2026-01-01T00:00:05"}}
    write(tmp_path / "notebooks" / "probing.ipynb", {"metadata": noted})
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
    hostile = json.loads(json.dumps(content).replace('"CF-SimCLR"', json.dumps(HOSTILE)))
    for claim in hostile["claims"]:
        claim |= {"statement": HOSTILE, "where": HOSTILE, "note": HOSTILE}
    known = evidence(papers_results(), quality=quality(), records=records())
    found = judge(ledger.Ledger.model_validate(hostile), known)
    shown = report.claims_page(found, cohort(HOSTILE), HOSTILE)
    assert "<script" not in shown
    lines = shown.splitlines()
    assert not [line for line in lines if line.startswith("# ")]
    rows = [line for line in lines if line.startswith("| **C")]
    assert len(rows) >= 6
    assert {line.count("|") for line in rows} == {4}
    listed = [line for line in lines if line.startswith("- ")]
    assert all(line.startswith(("- C", "- simulated")) for line in listed)


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
    write(tmp_path / "gpu.json", {"machine": machine, "size": 224, "parts": parts})
    shown = report.gpu_table(tmp_path / "gpu.json")
    assert "| bank | 64 | 434 |  |  | 1.76 |" in shown
    assert "<none" not in shown
    assert "OutOfMemoryError" in shown
    assert "times" in report.gpu_table(report.GPU).lower()
