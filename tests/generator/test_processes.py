"""Two processes that train a generator as one, or make a bank."""

from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from ccl.generator import training
from ccl.generator.generator import Generator, save
from ccl.generator.options import GeneratorOptions
from companion.cohorts import bank as banks
from companion.cohorts.bank import BankOptions
from companion.cohorts.cohort import Cohort
from companion.experiments import generator as generators
from tests.fitting import fit
from tests.generator.conftest import SMALL
from tests.pair import Pair

States = dict[str, Tensor]


def train_generator(cohort: Path, folder: Path) -> tuple[States, States, pd.DataFrame]:
    """Averaged and last weights of a training whose latents are not drawn but the expected ones."""
    kept = []

    def remember(
        module: training.HVAETraining, *arguments: object, **named: object
    ) -> pd.DataFrame:
        kept.append(module)
        return fit(module, *arguments, **named)

    options = GeneratorOptions(
        hvae=SMALL, epochs=2, batch_size=20, warmup_steps=0, ema_decay=0.9, max_steps=3
    )
    with (
        mock.patch("torch.randn_like", torch.zeros_like),
        mock.patch("ccl.generator.training.fit", remember),
    ):
        made, history = generators.train(Cohort.load(cohort), options, folder)
    return made.hvae.state_dict(), kept[0].hvae.cpu().state_dict(), history


def test_a_generator_of_two_processes_is_that_of_one(
    pair: Pair, phantom: Cohort, tmp_path: Path
) -> None:
    average, last, history = train_generator(phantom.folder, tmp_path / "one")
    (first, second) = pair(train_generator, phantom.folder, tmp_path / "two")
    for found, expected in zip(first[:2], second[:2], strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    for found, expected in ((first[0], average), (first[1], last)):
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3)
    same = history.columns.drop("seconds")
    pd.testing.assert_frame_equal(first[2][same], history[same], rtol=1e-2)


def make_bank(cohort: Path, generator: Path, folder: Path, killed_after: int | None = None) -> None:
    made = 0

    def stopping(*arguments: object) -> np.ndarray:
        nonlocal made
        if made == killed_after:
            raise KeyboardInterrupt
        made += 1
        return all_counterfactuals(*arguments)

    all_counterfactuals = banks.all_counterfactuals
    folder.mkdir(exist_ok=True)
    with mock.patch("companion.cohorts.bank.all_counterfactuals", stopping):
        how = Cohort.load(cohort), generators.load(generator), BankOptions(batch_size=16), folder
        if killed_after is None:
            banks.make(*how)
        else:
            with pytest.raises(KeyboardInterrupt):
                banks.make(*how)


@pytest.mark.parametrize("killed", ["in two", "in one"])
def test_a_bank_has_the_same_bytes_whoever_makes_it(
    pair: Pair, phantom: Cohort, generator: Generator, tmp_path: Path, killed: str
) -> None:
    made_of = phantom.folder, tmp_path / "generator"
    made_of[1].mkdir()
    save(generator, made_of[1])
    make_bank(*made_of, tmp_path / "one")
    other = *made_of, tmp_path / "other"
    if killed == "in two":
        pair(make_bank, *other, 2)
        make_bank(*other)
    else:
        make_bank(*other, 3)
        pair(make_bank, *other)
    for name in ("counterfactuals.npy", "rows.npy", "bank.json"):
        assert (tmp_path / "other" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert len(list((tmp_path / "other").iterdir())) == 3


def test_a_line_of_progress_that_was_cut_off_is_not_believed(tmp_path: Path) -> None:
    progress = banks._Progress(tmp_path)
    progress.add(16)
    with progress.own.open("a") as file:
        file.write("\n64")  # 640 written
    progress.add(128)
    assert progress.done() == {16, 128}
