"""Verdicts follow from the results by stated rules; generated pages cannot be broken by names."""

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ccl import report
from ccl.cohorts import Cohort

HOSTILE = "<script>alert(1)</script> | `x` \n# heading"
FRACTIONS = (0.05, 0.25, 1.0)


def cohort(name: str = "phantom") -> Cohort:
    """Common scanner A, rare scanner B, held-out C."""
    table = pd.DataFrame({"split": "train", "scanner": ["B"] + ["A"] * 9})
    info = {
        "name": name,
        "scanners": ["B", "A"],
        "held_out_scanners": ["C"],
        "caveats": [f"simulated {name}"],
    }
    return Cohort(Path(), info, np.zeros((10, 2, 2), np.uint8), table)


def results(gains: dict[tuple[str, float], float], *, seeds: int = 3, noise: float = 0.001):
    """results.csv in which CF-SimCLR gains what it is told over SimCLR, and SimCLR+ nothing."""
    rng = np.random.default_rng(0)
    rows = []
    for seed, domain, fraction in itertools.product(range(seeds), "ABC", FRACTIONS):
        for strategy in ("standard", "plus", "counterfactual"):
            value = 0.7 + (strategy == "counterfactual") * gains.get((domain, fraction), 0.0)
            value += rng.normal(0, noise)
            rows.append((strategy, seed, 0, fraction, domain, value, value - 0.02, value + 0.02))
    columns = ["strategy", "pretrain_seed", "probe_seed", "label_fraction", "domain"]
    table = pd.DataFrame(rows, columns=[*columns, "value", "ci_low", "ci_high"])
    return table.assign(metric="roc_auc", subgroup="all", protocol="linear")


def quality(share: float = 0.97) -> pd.DataFrame:
    """Effectiveness of counterfactuals, pooled."""
    row = ("effectiveness", "counterfactual", "all", share, share - 0.02, share + 0.01)
    return pd.DataFrame(
        [row], columns=["measure", "images", "target", "value", "ci_low", "ci_high"]
    )


def verdicts(table: pd.DataFrame, share: float = 0.97) -> dict[str, str]:
    """Claim to verdict."""
    claims = report.claims_so_far(table, quality(share), cohort())
    return dict(zip(claims["claim"], claims["verdict"], strict=True))


SHAPE = {(d, f): 0.02 + 0.03 * (d != "A") + 0.02 * (f < 1) for d in "ABC" for f in FRACTIONS}


def test_the_papers_shape_is_recognised() -> None:
    found = verdicts(results(SHAPE))
    assert {found[c] for c in ("C1", "C2", "C3", "C4", "C6", "C8")} == {report.HOLDS}
    assert {found[c] for c in ("C5", "C7", "C9", "C14")} == {report.UNTESTED}
    assert len(found) == 14


def test_the_opposite_shape_is_recognised_too() -> None:
    found = verdicts(results({cell: -gain for cell, gain in SHAPE.items()}), share=0.5)
    assert {found[c] for c in ("C1", "C2", "C3", "C4", "C6", "C8")} == {report.FAILS}


def test_no_effect_is_undecided() -> None:
    found = verdicts(results({}))
    assert {found[c] for c in ("C2", "C3", "C4", "C6", "C8")} == {report.UNDECIDED}


def test_every_label_fraction_means_every_one() -> None:
    gains = {(d, f): 0.05 if f < 1 else -0.01 for d in "ABC" for f in FRACTIONS}
    assert verdicts(results(gains))["C2"] == report.UNDECIDED


def test_effects_are_the_planted_ones() -> None:
    claims = report.claims_so_far(results(SHAPE, noise=0), quality(), cohort()).set_index("claim")
    assert claims.loc["C3", "effect"] == pytest.approx(0.03)  # B (rare) minus A (common)
    assert claims.loc["C4", "effect"] == pytest.approx(0.02)
    assert claims.loc["C6", "effect"] == pytest.approx(0.05 + 0.02 * 2 / 3)
    assert claims.loc["C6", "seeds"] == 3


def test_interval_over_seeds_is_students() -> None:
    table = results({("A", 1.0): 0.0}, noise=0)
    shifted = table["strategy"] == "counterfactual"
    table.loc[shifted, "value"] += table.loc[shifted, "pretrain_seed"] * 0.01
    found = report.contrast(table, report.gain(["A"], [1.0]))
    assert found is not None
    assert found.value == pytest.approx(0.01)
    assert found.high - found.value == pytest.approx(4.3027 * 0.01 / np.sqrt(3), rel=1e-4)


def test_one_seed_falls_back_to_the_bootstrap_on_the_wide_side() -> None:
    table = results({}, seeds=1, noise=0)
    found = report.contrast(table, report.gain(["A"], FRACTIONS))
    assert found is not None
    assert found.high - found.value == pytest.approx(np.sqrt(2) * 0.02)
    assert verdicts(results(SHAPE, seeds=1))["C3"] == report.UNDECIDED


def test_what_is_missing_is_not_tested() -> None:
    table = results(SHAPE)
    assert verdicts(table[table["strategy"] != "plus"])["C8"] == report.UNTESTED
    assert verdicts(table[table["domain"] != "C"])["C6"] == report.UNTESTED
    nothing = report.claims_so_far(table, quality().iloc[:0], cohort())
    assert nothing.set_index("claim").loc["C1", "verdict"] == report.UNTESTED


def test_pages_come_from_the_folders_of_an_experiment(tmp_path: Path, monkeypatch) -> None:
    for step in ("cohort", "quality"):
        folder = tmp_path / step / "0123"
        folder.mkdir(parents=True)
        record = {
            "step": step,
            "label": "",
            "digest": "0123",
            "seconds": 1.25,
            "peak_memory_mib": 300,
            "finished": "2026-01-01T00:00:00",
            "python": "3.11",
            "git_revision": "abc",
            "device": "CPU",
            "versions": {"torch": "2.15"},
        }
        (folder / "run.json").write_text(json.dumps(record))
        (tmp_path / "steps").mkdir(exist_ok=True)
        pointer = {"folder": f"{step}/0123", "digest": "0123"}
        (tmp_path / "steps" / f"{step}.json").write_text(json.dumps(pointer))
    quality().to_csv(tmp_path / "quality" / "0123" / "quality.csv", index=False)
    results(SHAPE).to_csv(tmp_path / "results.csv", index=False)
    (tmp_path / "notebooks").mkdir()
    notebook = {"metadata": {"papermill": {"duration": 3.5, "end_time": "2026-01-01T00:00:05"}}}
    (tmp_path / "notebooks" / "probing.ipynb").write_text(json.dumps(notebook))
    monkeypatch.setattr(report.cohorts, "load", lambda folder: cohort())
    pages = report.pages(
        SimpleNamespace(root=tmp_path, profile_name="quick", cohort_name="phantom-chest")
    )
    assert "| **C2** " in pages["claims.md"]
    assert "holds here" in pages["claims.md"]
    assert all(text in pages["status.md"] for text in ("0123", "probing", "3.5", "2.15", "abc"))


def test_names_cannot_break_the_pages() -> None:
    page = report.claims_page(
        report.claims_so_far(results(SHAPE), quality(), cohort(HOSTILE)), cohort(HOSTILE), HOSTILE
    )
    assert "<script" not in page
    assert "\n# heading" not in page
    rows = [line for line in page.splitlines() if line.startswith("| **C")]
    assert {row.count("|") for row in rows} == {4}
