"""Every strategy by its name: how its pairs are made, and which bank they are drawn from.

The one place that says so. Profiles, steps, workflow and ledger read it; it imports no model.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from ccl.pairs import Strategy

Objective = Literal["simclr", "dino"]  # that pairs can be trained with

# Encoders that were not pretrained on the cohort: random weights, and the weights that all start
# from, where there are any. Finetuned, what all start from is the supervised baseline.
RANDOM = "random"
INITIAL = "initial"
SUPERVISED = "supervised"
CONTROLS = (INITIAL, RANDOM, SUPERVISED)


class BankOf(NamedTuple):
    """Which counterfactuals a bank holds.

    Attributes:
        variable: the intervened parent, 'scanner' or 'sex'.
        made_by: the step that knows them: 'generator', one of its variants such as
            'generator-early', or 'cohort' where the truth is known.
    """

    variable: str
    made_by: str

    @property
    def variant(self) -> str | None:
        """Which generator makes it, one of `GENERATORS`; None where the truth is known."""
        if self.made_by == "cohort":
            return None
        return self.made_by.partition("-")[2] or BASE


class Recipe(NamedTuple):
    """How a strategy makes its pairs.

    Attributes:
        pairs: of `ccl.pairs`.
        bank: one of `BANKS`, or None where both views are cut from the real image.
    """

    pairs: Strategy
    bank: str | None


BASE = "base"
# The trained generator, the same stopped early, and the same finetuned on its counterfactuals.
GENERATORS = (BASE, "early", "tuned")

BANKS: Mapping[str, BankOf] = {
    "scanner": BankOf("scanner", "generator"),
    "truth": BankOf("scanner", "cohort"),
    "sex": BankOf("sex", "generator"),
    "truesex": BankOf("sex", "cohort"),
    "early": BankOf("scanner", "generator-early"),
    "tuned": BankOf("scanner", "generator-tuned"),
}

STRATEGIES: Mapping[str, Recipe] = {
    "standard": Recipe("standard", None),
    "plus": Recipe("plus", "scanner"),
    "counterfactual": Recipe("counterfactual", "scanner"),
    "oracle": Recipe("counterfactual", "truth"),
    "sexcf": Recipe("counterfactual", "sex"),
    "oraclesex": Recipe("counterfactual", "truesex"),
    "earlycf": Recipe("counterfactual", "early"),
    "tunedcf": Recipe("counterfactual", "tuned"),
}


def split_seed(name: str) -> tuple[str, int]:
    """A generator or bank, and the seed of its training: ('scanner', 1) of 'scanner-1'.

    The first training has seed 0, and its name no number.
    """
    kind, _, seed = name.partition("-")
    return kind, int(seed or 0)


def with_seed(kind: str, seed: int) -> str:
    """The name of which `split_seed` returns these."""
    return f"{kind}-{seed}" if seed else kind


def generator_of_bank(name: str) -> str | None:
    """Which generator makes a bank: 'base-1' of 'scanner-1'; None where the truth is known."""
    kind, seed = split_seed(name)
    variant = BANKS[kind].variant
    return None if variant is None else with_seed(variant, seed)


def generators_to_judge(banks: Iterable[str]) -> list[str]:
    """Generators behind banks whose quality is measured, the trained one first.

    Of the trained one every seed is, so that its quality has a spread; of its variants the first.
    """
    makers = {name for bank in banks if (name := generator_of_bank(bank)) is not None} - {BASE}
    found = {name: split_seed(name) for name in sorted(makers)}
    return [BASE, *(name for name, (kind, seed) in found.items() if kind == BASE or seed == 0)]


def bank_of_generator(name: str) -> str:
    """The bank of a generator's images of other scanners: 'scanner-1' of 'base-1'."""
    variant, seed = split_seed(name)
    return with_seed("scanner" if variant == BASE else variant, seed)


def bank_of(strategy: str) -> BankOf | None:
    """The bank that a strategy draws from, or None where it needs none."""
    name = STRATEGIES[strategy].bank
    return None if name is None else BANKS[name]


def generator_of(strategy: str) -> str | None:
    """Which of `GENERATORS` makes the images of other scanners that a strategy pairs an image with.

    None where the true counterfactuals are taken, or pairs are not made across scanners.
    """
    source = bank_of(strategy)
    across = STRATEGIES[strategy].pairs == "counterfactual"
    return source.variant if across and source and source.variable == "scanner" else None


def known(strategy: str) -> str:
    """The same name.

    Raises:
        ValueError: there is no such strategy.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy '{strategy}' is unknown; it is one of {tuple(STRATEGIES)}")
    return strategy
