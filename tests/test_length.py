"""How long pretraining has to be: the same pairs from random and from initial weights."""

import pytest

from companion.engine.csv_files import read_table
from companion.experiments import config
from companion.experiments.config import LengthOptions
from companion.experiments.length import LENGTH_FILE, train_long, trainings


def test_a_profile_without_the_section_says_so() -> None:
    with pytest.raises(ValueError, match="no section 'length'"):
        list(trainings(config.experiment("tiny", "phantom-chest")))


def test_every_start_strategy_and_seed_has_its_history(tmp_path, monkeypatch):
    base = config.experiment("tiny", "phantom-chest")
    encoder = base.pretraining.simclr.encoder.model_copy(update={"pretrained": "leaves"})
    simclr = base.pretraining.simclr.model_copy(update={"encoder": encoder})
    source = base.source.model_copy(update={"n_train": 80, "n_val": 40, "n_test_per_scanner": 5})
    experiment = base.model_copy(
        update={
            "root": tmp_path / "runs",
            "source": source,
            "pretraining": base.pretraining.model_copy(update={"simclr": simclr}),
            "length": LengthOptions(
                epochs=2, every=1, strategies=("standard", "oracle"), seeds=(3,)
            ),
        }
    )
    table = read_table(train_long(experiment).folder / LENGTH_FILE)
    found = set(zip(table["start"], table["strategy"], table["seed"], table["epoch"], strict=True))
    starts, strategies = ("random", "initial"), ("standard", "oracle")
    assert found == {(a, b, 3, e) for a in starts for b in strategies for e in (0, 1)}
    assert table["validation_auc"].notna().all()
