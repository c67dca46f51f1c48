"""What a change of the code computes again: what it reaches, and no more."""

import shutil
from pathlib import Path

import pytest

from companion import ROOT
from companion.book import notebooks
from companion.engine import digests
from companion.experiments import (
    bank,
    cohort,
    evaluation,
    finetuning,
    generator,
    pretraining,
    quality,
    results,
)

STEPS = {
    cohort.make_cohort: (*cohort.CODE, "companion.cohorts.simulation.phantom_chest"),
    generator.train_generator: generator.TUNING_CODE,
    bank.make_bank: bank.CODE,
    quality.measure_quality: quality.CODE,
    pretraining.pretrain: (*pretraining.CODE, "ccl.objectives.simclr"),
    evaluation.evaluate: evaluation.CODE,
    finetuning.finetune_encoder: finetuning.CODE,
    results.collect_results: results.CODE,
}


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both packages, to be edited."""
    for package in digests.PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    monkeypatch.setattr(digests, "ROOT", tmp_path)
    return tmp_path


def of_steps() -> dict[str, tuple[str, str]]:
    for cached in (digests.code_digest, digests.function_digest, digests._code, digests._imports):
        cached.cache_clear()
    return {
        function.__module__.rpartition(".")[2]: (
            digests.code_digest(*modules),
            digests.function_digest(function),
        )
        for function, modules in STEPS.items()
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "again"),
    [
        ("companion/cohorts/releases/nih.py", '"Effusion"', '"Edema"', set()),
        ("companion/cohorts/releases/mini_mias.py", "lists no film", "names no film", set()),
        ("companion/book/tables.py", "def ", "def other_", set()),
        ("companion/claims/holm.py", "def ", "def other_", set()),
        ("ccl/losses/nt_xent.py", "def ", "def other_", {"pretraining"}),
        ("ccl/pairs.py", "def ", "def other_", {"pretraining"}),
        ("companion/evaluation/probing.py", "def ", "def other_", {"evaluation"}),
        ("companion/evaluation/finetuning.py", "def ", "def other_", {"finetuning"}),
        ("companion/quality/spectrum.py", "def ", "def other_", {"quality"}),
        ("companion/experiments/pretraining.py", "max_steps=", "most_steps=", {"pretraining"}),
        ("companion/experiments/pretraining.py", "max_images: int", "most_images: int", set()),
        (
            "ccl/generator/hvae.py",
            "def ",
            "def other_",
            {"generator", "bank", "quality"},
        ),
    ],
    ids=lambda value: value if str(value).endswith(".py") else "",
)
def test_an_edit_computes_again_what_it_reaches(copied, file, old, new, again):
    before = of_steps()
    text = (copied / file).read_text()
    assert old in text
    (copied / file).write_text(text.replace(old, new))
    after = of_steps()
    assert {step for step in before if before[step] != after[step]} == again


def test_a_module_that_is_not_there_has_no_digest() -> None:
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        assert digests.code_digest(*notebooks.imported(notebook))
    with pytest.raises(ValueError, match=r"no module 'ccl\.nowhere'"):
        digests.code_digest("ccl.nowhere")
