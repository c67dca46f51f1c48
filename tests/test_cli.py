"""The command line: what it says, and how it fails."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from ccl.errors import TrainingError
from companion import cli
from companion.book import building
from tests.evaluation.made_up import evidence, papers_results, quality

runner = CliRunner()


def test_plan_names_the_encoders_and_what_the_cohort_cannot_have() -> None:
    answer = runner.invoke(cli.app, ["plan", "--profile", "tiny"])
    assert answer.exit_code == 0, answer.output
    plan = json.loads(answer.stdout)
    assert {"simclr-standard-0", "simclr-counterfactual-0"} <= set(plan["encoders"])
    assert "simclr-random-0" in plan["controls"]
    assert {"simclr-initial-0", "simclr-standard-0"} <= set(plan["finetuned"])
    assert plan["omissions"] == []
    answer = runner.invoke(cli.app, ["plan", "--profile", "tiny", "--cohort", "medmnist"])
    plan = json.loads(answer.stdout)
    (said,) = plan["omissions"]
    assert "'sexcf'" in said
    assert not any("sexcf" in name for name in plan["encoders"])


def test_claims_that_are_unknown_or_have_no_results_yet(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    unknown = runner.invoke(cli.app, ["claims", "C2", "C15", "--profile", "tiny"])
    assert unknown.exit_code == 1
    assert "claims ['C15'] are not in the ledger" in unknown.stderr
    early = runner.invoke(cli.app, ["claims", "--profile", "tiny"])
    assert early.exit_code == 1
    assert "results.csv is missing: run `make results` first" in early.stderr


def test_claims_are_printed(monkeypatch) -> None:
    found = evidence(papers_results(), quality=quality())
    monkeypatch.setattr("companion.claims.evidence.read_evidence", lambda root: found)
    answer = runner.invoke(cli.app, ["claims", "C1", "C3", "--profile", "tiny"])
    assert answer.exit_code == 0, answer.output
    lines = [line for line in answer.stdout.splitlines() if line.startswith("C")]
    assert [line.split()[:2] for line in lines] == [["C1", "SUPPORTED"], ["C3", "SUPPORTED"]]


@pytest.mark.parametrize("wrong", ["--profile", "--cohort"])
def test_an_unknown_profile_or_cohort_is_one_message(wrong: str) -> None:
    answer = runner.invoke(cli.app, ["run", "cohort", wrong, "nosuch"])
    assert answer.exit_code == 1
    assert isinstance(answer.exception, SystemExit)
    assert answer.stderr.startswith("Error: ")
    assert "nosuch" in answer.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "evaluation"],
        ["run", "evaluate"],
        ["run", "bank"],
        ["run", "cohort", "--bank", "sex"],
        ["run", "cohort", "--variant", "early"],
        ["run", "results", "--encoder", "simclr-standard-0"],
        ["run", "nosuch"],
        ["run", "cohort", "--on-bad-image", "ignore"],
    ],
)
def test_mistyped_commands_are_refused(arguments: list[str]) -> None:
    answer = runner.invoke(cli.app, arguments)
    assert answer.exit_code == 2
    assert "Error" in answer.output


@pytest.fixture
def broken_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of images with its table, the first image being none; runs go elsewhere."""
    folder = tmp_path / "images"
    folder.mkdir()
    lines = ["path,patient_id,scanner,label"]
    rng = np.random.default_rng(0)
    for i in range(60):
        Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8)).save(folder / f"{i}.png")
        lines.append(f"{i}.png,patient{i},scanner{i % 2},{('no', 'yes')[i // 2 % 2]}")
    (folder / "0.png").write_bytes(b"not an image")
    (folder / "manifest.csv").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    return folder


def test_later_steps_go_on_with_a_cohort_that_lacks_bad_images(broken_images: Path) -> None:
    command = ["run", "cohort", "--profile", "tiny", "--cohort", "folder"]
    command += ["--data-root", str(broken_images)]
    refused = runner.invoke(cli.app, command)
    assert refused.exit_code == 1
    assert "0.png" in refused.stderr
    skipped = runner.invoke(cli.app, [*command, "--on-bad-image", "skip"])
    assert skipped.exit_code == 0, skipped.stderr
    assert runner.invoke(cli.app, command).stdout == skipped.stdout


def test_a_training_that_cannot_go_on_is_one_message_and_a_defect_keeps_its_traceback(capsys):
    with pytest.raises(typer.Exit), cli.tidy_errors():
        raise TrainingError("collapsed: lower the learning rate")
    assert capsys.readouterr().err == "Error: collapsed: lower the learning rate\n"
    with pytest.raises(TypeError), cli.tidy_errors():
        raise TypeError("a defect of the program")


def test_missing_pages_are_found(tmp_path: Path) -> None:
    (tmp_path / "_toc.yml").write_text(
        "root: book/index\nparts:\n- chapters:\n  - file: book/a\n    sections:\n"
        "    - file: book/b.md\n- chapters:\n  - file: book/executed/c\n"
        "- chapters:\n  - file: book/executed/another/c\n"
    )
    html = tmp_path / "_build" / "html" / "book"
    (html / "executed").mkdir(parents=True)
    for page in ("index", "a", "executed/c"):
        (html / f"{page}.html").touch()
    assert building.missing(root=tmp_path) == [Path("_build/html/book/b.html")]
    (html / "b.html").touch()
    assert building.missing(root=tmp_path) == []
    lost = Path("_build/html/book/executed/another/c.html")
    assert building.missing(("another",), tmp_path) == [lost]
