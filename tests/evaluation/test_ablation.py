"""What quality buys: differences by hand, of the rows that count only."""

import pandas as pd
import pytest

from companion.claims.contrasts import Setting
from companion.experiments.ablation import gain_against_error, pairing_errors

SETTING = Setting("made up", ("Common", "Rare"), ("Unseen",))


def quality(error: float) -> pd.DataFrame:
    rows = [
        ("gold_error", "untouched", "all", "all", 40.0),
        ("gold_error", "counterfactual", "all", "all", error),
        ("gold_error", "counterfactual", "Common", "Rare", 99.0),
        ("gold_ssim", "counterfactual", "all", "all", 0.5),
    ]
    return pd.DataFrame(rows, columns=["measure", "images", "source", "target", "value"])


def results() -> pd.DataFrame:
    """Every combination of what a row is about, and an AUC by hand."""
    levels = {
        "objective": ("simclr", "dino"),
        "strategy": ("standard", "counterfactual", "oracle"),
        "pretrain_seed": (0, 1),
        "protocol": ("linear", "finetuned"),
        "label_fraction": (0.1, 1.0),
        "domain": ("Common", "Rare", "Unseen", "pooled"),
        "metric": ("roc_auc", "accuracy"),
    }
    table = pd.MultiIndex.from_product(levels.values(), names=levels).to_frame(index=False)
    gain = table["strategy"].map({"standard": 0.0, "counterfactual": 0.1, "oracle": 0.2})
    size = (1 + table["pretrain_seed"]).where(table["protocol"] == "linear", -1)
    value = table["objective"].map({"simclr": 0.6, "dino": 0.3}) + gain * size
    value = value.where(table["domain"] != "Common", 0.5)
    return table.assign(value=value, probe_seed=0, subgroup="all")


def test_errors_are_those_over_all_directions() -> None:
    found = pairing_errors({"counterfactual": quality(10.0), "earlycf": quality(20.0)})
    assert found == {"standard": 40.0, "counterfactual": 10.0, "earlycf": 20.0, "oracle": 0.0}


def test_the_gain_is_the_difference_seed_by_seed_where_domain_shift_hurts() -> None:
    error = {"standard": 40.0, "counterfactual": 10.0, "earlycf": 20.0, "oracle": 0.0}
    found = gain_against_error(results(), error, SETTING)
    assert set(found["strategy"]) == {"standard", "counterfactual", "oracle"}  # early: no results
    assert len(found) == 3 * 2 * 2
    gain = found.set_index(["strategy", "seed", "where"])["gain"]
    assert gain["counterfactual", 0, "rarest scanner"] == pytest.approx(0.1)
    assert gain["counterfactual", 1, "held-out scanners"] == pytest.approx(0.2)
    assert gain["oracle", 1, "rarest scanner"] == pytest.approx(0.4)
    assert (gain["standard"].abs() < 1e-12).all()
    assert found.set_index("strategy")["error"]["oracle"].unique().tolist() == [0.0]
