"""The examples run, with what `ccl` depends on alone."""

import ast
import re
import runpy
from pathlib import Path

import pytest

from companion import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
DEPENDENCIES = {"ccl", "lightning", "numpy", "torch", "torchvision", "timm", "safetensors"}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_fits_one_screen_and_needs_ccl_alone(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    names = {
        name
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert {name.partition(".")[0] for name in names} <= DEPENDENCIES


def test_pairs_in_a_loop_of_one_s_own_are_learned(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    lines = _run("pairs_in_your_loop.py", capsys)
    losses = [float(line.rpartition(" ")[2]) for line in lines]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.slow
def test_the_method_on_one_screen_helps_on_the_rare_scanner(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    standard, counterfactual = (
        [float(each) for each in re.findall(r"0\.\d+|1\.0+", line)]
        for line in _run("cf_simclr.py", capsys)
    )
    assert min(standard[0], counterfactual[0]) > 0.9
    assert counterfactual[1] > standard[1]


def _run(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
    said = capsys.readouterr().out.splitlines()
    return [line for line in said if line.startswith(("epoch", "standard", "c"))]
