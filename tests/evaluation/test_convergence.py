"""Pretraining is watched on validation images, and says whether it has converged."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from companion.evaluation.convergence import AUC, convergence, final_range
from companion.evaluation.options import ConvergenceOptions
from companion.evaluation.validation_probe import ValidationProbe
from companion.experiments import config
from tests import pages


class Brightness(torch.nn.Module):
    """An encoder of one number, the image's mean grey value."""

    probed_width = 1

    def __init__(self) -> None:
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def features(self, image: Tensor) -> Tensor:
        return image.mean(dim=(1, 2, 3))[:, None] + self.nothing


@pytest.fixture
def cohort() -> Any:
    """Images whose brightness is their label, but for the test images, which are broken."""
    made = pages.small_cohort()
    labels = made.table["label"].to_numpy()
    made.images[:] = (50 + 100 * labels)[:, None, None] + np.arange(8, dtype=np.uint8)
    made.images[(made.table["split"] == "test").to_numpy()] = 0
    return made


def test_a_probe_finds_what_features_tell_on_validation_images(cohort: Any) -> None:
    probe = ValidationProbe(cohort, ConvergenceOptions(fractions=(0.5, 1.0)), epochs=2)
    found = probe(Brightness())  # type: ignore[arg-type]
    assert found == {
        AUC: 1.0,
        **{f"{AUC}_{share}_{name}": 1.0 for share in (50, 100) for name in ("A", "B")},
    }
    test = (cohort.table["split"] == "test").to_numpy()
    assert not {*probe.tested["A"], *probe.tested["B"], *probe.subsets[1.0]} & {*np.where(test)[0]}


def test_few_images_are_looked_at_where_there_are_many(cohort: Any) -> None:
    probe = ValidationProbe(cohort, ConvergenceOptions(most=5), epochs=2)
    assert len(probe.subsets[1.0]) <= 5
    assert sum(map(len, probe.tested.values())) <= 5


@pytest.mark.parametrize(("every", "due"), [(2, [1, 3, 4]), (0, []), (10, [4])])
def test_every_few_epochs_and_in_the_last(cohort: Any, every: int, due: list[int]) -> None:
    probe = ValidationProbe(cohort, ConvergenceOptions(every=every), epochs=5)
    assert [epoch for epoch in range(5) if probe.is_due(epoch)] == due


def test_a_run_has_converged_if_it_is_level_over_its_last_quarter() -> None:
    rising = pd.DataFrame({"epoch": range(8), AUC: [0.5, np.nan, 0.6, np.nan, 0.7, 0.8, 0.85, 0.9]})
    assert final_range(rising) == pytest.approx(0.1)  # epochs 6, 7 and 8
    level = rising.assign(**{AUC: [0.5, 0.5, 0.5, 0.5, 0.5, 0.9, 0.9, 0.91]})
    both = pd.concat(
        [
            table.assign(objective="simclr", strategy=name, seed=0)
            for name, table in (("standard", rising), ("oracle", level))
        ]
    )
    options = ConvergenceOptions(margin=0.02)
    found = convergence(both, options.margin).set_index("strategy")["converged"]
    assert dict(found) == {"standard": False, "oracle": True}


def test_nothing_is_said_of_a_run_that_was_not_watched() -> None:
    history = pd.DataFrame({"epoch": [0, 1], "loss": [1.0, 0.5]})
    assert np.isnan(final_range(history))
    known = history.assign(objective="simclr", strategy="standard", seed=0)
    assert convergence(known, 0.02)["converged"].isna().all()
    assert convergence(None, 0.02).empty


def test_controls_are_the_initial_weights_and_random_ones() -> None:
    made = config.experiment("study", "phantom-chest").pretraining
    simclr = [name for name in made.controls if name.objective == "simclr"]
    assert {name.strategy for name in simclr} == {"initial", "random"}
    assert {name.seed for name in simclr} == set(made.seeds)
    assert made.seeds_of("dino") == made.seeds[:3]  # fewer_seeds
    plain = made.simclr.model_copy(
        update={"encoder": made.simclr.encoder.model_copy(update={"pretrained": None})}
    )
    alone = made.model_copy(update={"simclr": plain})
    assert {n.strategy for n in alone.controls if n.objective == "simclr"} == {"random"}
