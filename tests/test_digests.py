"""What a change of the code computes again: what it reaches, and no more."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from companion import ROOT
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


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Both packages, to be edited."""
    folder = tmp_path_factory.mktemp("copied")
    for package in digests.PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digests, "ROOT", folder)
        yield folder
    forget()


def forget() -> None:
    digests.code_digest.cache_clear()
    digests.function_digest.cache_clear()


def of_steps() -> dict[str, tuple[str, str]]:
    forget()
    return {
        function.__module__.rpartition(".")[2]: (
            digests.code_digest(*modules),
            digests.function_digest(function),
        )
        for function, modules in STEPS.items()
    }


@pytest.fixture(scope="module")
def before(copied: Path) -> dict[str, tuple[str, str]]:
    return of_steps()


@pytest.mark.parametrize(
    ("file", "old", "new", "again"),
    [
        ("companion/cohorts/releases/nih.py", '"Effusion"', '"Edema"', set()),
        ("companion/cohorts/releases/mini_mias.py", "lists no film", "names no film", set()),
        ("companion/book/tables.py", "def ", "def other_", set()),
        ("companion/claims/estimates.py", "def ", "def other_", set()),
        ("ccl/losses/nt_xent.py", "def ", "def other_", {"pretraining"}),
        ("ccl/pairs.py", "def ", "def other_", {"pretraining"}),
        ("companion/evaluation/probing.py", "def ", "def other_", {"evaluation"}),
        ("companion/evaluation/finetuning.py", "def ", "def other_", {"finetuning"}),
        ("companion/quality/realism.py", "def ", "def other_", {"quality"}),
        ("companion/experiments/pretraining.py", "max_steps=", "most_steps=", {"pretraining"}),
        ("companion/experiments/pretraining.py", "max_images: int", "most_images: int", set()),
        ("ccl/generator/hvae.py", "def ", "def other_", {"generator", "bank", "quality"}),
        ("ccl/losses/nt_xent.py", '"""NT-Xent,', '# Why.\n"""NT-Xent:', set()),
        ("companion/experiments/pretraining.py", '"""The finished', '"""A finished', set()),
    ],
    ids=lambda value: value if str(value).endswith(".py") else "",
)
def test_an_edit_computes_again_what_it_reaches(copied, before, file, old, new, again):
    text = (copied / file).read_text()
    assert old in text
    (copied / file).write_text(text.replace(old, new))
    after = of_steps()
    (copied / file).write_text(text)
    assert {step for step in before if before[step] != after[step]} == again


def test_a_module_that_is_not_there_has_no_digest() -> None:
    with pytest.raises(ValueError, match=r"no module 'ccl\.nowhere'"):
        digests.code_digest("ccl.nowhere")
