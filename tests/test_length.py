"""How long pretraining has to be: the same pairs from random and from initial weights."""

import pytest

from companion.engine.csv_files import read_table
from companion.experiments import config
from companion.experiments.config import LengthOptions
from companion.experiments.length import LENGTH_FILE, train_long, trainings
from tests.changed import changed


def test_a_profile_without_the_section_says_so() -> None:
    with pytest.raises(ValueError, match="no section 'length'"):
        list(trainings(config.experiment("tiny", "phantom-chest")))


def test_every_start_strategy_and_seed_has_its_history(tmp_path, monkeypatch):
    experiment = changed(
        config.experiment("tiny", "phantom-chest"),
        root=tmp_path / "runs",
        source__n_train=40,
        source__n_val=40,
        source__n_test_per_scanner=5,
        pretraining__simclr__encoder__pretrained="leaves",
        length=LengthOptions(epochs=2, every=1, strategies=("standard", "oracle"), seeds=(3,)),
    )
    table = read_table(train_long(experiment).folder / LENGTH_FILE)
    found = set(zip(table["start"], table["strategy"], table["seed"], table["epoch"], strict=True))
    starts, strategies = ("random", "initial"), ("standard", "oracle")
    assert found == {(a, b, 3, e) for a in starts for b in strategies for e in (0, 1)}
    assert table["validation_auc"].notna().all()
