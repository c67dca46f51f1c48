"""The table of strategies fits what reads it."""

from ccl import pairs
from companion import strategies
from companion.claims import ledger
from companion.cli.steps import Step
from companion.experiments import plan


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


def test_the_workflow_waits_for_the_bank_of_an_encoder() -> None:
    assert plan.banks("simclr-standard-0") == plan.banks("simclr-random-0") == []
    assert plan.banks("dino-plus-1") == plan.banks("simclr-counterfactual-0") == ["bank-scanner"]
    assert plan.banks("simclr-oracle-0") == ["bank-truth"]
    assert plan.banks("simclr-sexcf-0") == ["bank-sex"]
    assert plan.banks("simclr-tunedcf-2") == ["bank-tuned"]


def test_a_notebook_waits_for_the_quality_of_every_generator_behind_the_encoders() -> None:
    encoders = ["simclr-standard-0", "simclr-tunedcf-0", "simclr-tunedcf-1", "simclr-oracle-0"]
    assert plan.variants(encoders) == ["quality-tuned"]
    shown = plan.pointers("ablation", {"encoders": encoders})
    assert shown == ["results", "quality", "quality-tuned"]
