"""The table of strategies fits what reads it."""

from typing import Any

from ccl import pairs
from companion import strategies
from companion.claims import ledger
from companion.cli.steps import Step
from companion.experiments import config, plan
from companion.experiments.config import PretrainingOptions


def test_every_recipe_can_be_followed() -> None:
    for name, recipe in strategies.STRATEGIES.items():
        assert recipe.pairs in pairs.STRATEGIES
        assert (recipe.bank is None) == (recipe.pairs == "standard"), name
        assert name in ledger.STRATEGIES
    for bank in strategies.BANKS.values():
        assert bank.made_by.partition("-")[0] in list(Step)
        assert bank.variant is None or bank.variant in strategies.GENERATORS
    assert strategies.BANKS["truth"].variant is None
    assert strategies.BANKS["scanner"].variant == strategies.BASE
    assert strategies.BANKS["tuned"].variant == "tuned"


def plan_of(strategies_of_simclr: tuple[str, ...], *, generator_per_seed: bool) -> dict[str, Any]:
    """The plan of a small experiment with two seeds."""
    pretraining = PretrainingOptions(
        strategies={"simclr": strategies_of_simclr},
        seeds=(0, 1),
        generator_per_seed=generator_per_seed,
    )
    experiment = config.experiment("tiny", "phantom-chest")
    return plan.contents(experiment.model_copy(update={"pretraining": pretraining}))


def test_the_workflow_waits_for_the_bank_of_an_encoder() -> None:
    found = plan_of(("standard", "plus", "oracle", "sexcf"), generator_per_seed=False)
    assert plan.banks(found, "simclr-standard-0") == plan.banks(found, "simclr-random-0") == []
    assert plan.banks(found, "simclr-plus-0") == plan.banks(found, "simclr-plus-1")
    assert plan.banks(found, "simclr-plus-1") == ["bank-scanner"]
    assert plan.banks(found, "simclr-oracle-0") == ["bank-truth"]
    assert plan.banks(found, "simclr-sexcf-0") == ["bank-sex"]


def test_every_seed_may_have_a_generator_of_its_own() -> None:
    found = plan_of(("tunedcf", "oracle"), generator_per_seed=True)
    assert plan.banks(found, "simclr-tunedcf-0") == ["bank-tuned"]
    assert plan.banks(found, "simclr-tunedcf-1") == ["bank-tuned-1"]
    assert plan.banks(found, "simclr-oracle-1") == ["bank-truth"]  # which nobody trains


def test_a_notebook_waits_for_the_quality_of_every_generator_behind_the_encoders() -> None:
    found = plan_of(("standard", "tunedcf", "oracle"), generator_per_seed=True)
    assert plan.variants(found) == ["quality-tuned"]
    shown = plan.pointers("ablation", found)
    assert shown == ["results", "quality", "quality-tuned"]


def test_the_trained_generator_is_judged_of_every_seed() -> None:
    found = plan_of(("counterfactual", "tunedcf", "sexcf"), generator_per_seed=True)
    assert plan.variants(found) == ["quality-base-1", "quality-tuned"]
    assert strategies.generators_to_judge(["truth"]) == ["base"]
    banks = [strategies.bank_of_generator(name) for name in ("base", "base-1", "early", "tuned-2")]
    assert banks == ["scanner", "scanner-1", "early", "tuned-2"]
    makers = [strategies.generator_of_bank(bank) for bank in banks]
    assert makers == ["base", "base-1", "early", "tuned-2"]
