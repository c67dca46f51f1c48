"""Curves that a reader takes apart average and subtract results as figures do."""

from collections.abc import Callable

import pandas as pd
import pytest

from companion.book import curves
from companion.book.figures.accuracy import SEEDS as OVER_SEEDS
from companion.book.figures.accuracy import estimates
from tests.book import chromium

SEEDS = (0, 1, 2, 3)
SHARES = (0.05, 0.25, 1.0)
STOP = ".ccl-curves [data-part=stop]"


def results() -> pd.DataFrame:
    """Two strategies and a control, two scanners, both protocols, two probe seeds."""
    rows = [
        {"objective": "simclr", "strategy": strategy, "pretrain_seed": seed, "probe_seed": again}
        | {"protocol": protocol, "label_fraction": share, "n_labels": round(200 * share)}
        | {"domain": domain, "subgroup": "all", "metric": "roc_auc"}
        | {"value": 0.7 + 0.05 * i + 0.02 * seed * (i + 1) % 0.07 + 0.1 * share + 0.01 * again}
        for i, strategy in enumerate(("standard", "counterfactual", "random"))
        for seed in SEEDS
        for again in (0, 1)
        for protocol in ("linear", "finetuned")
        for share in SHARES
        for domain in ("Aurora", "Dorado")
    ]
    table = pd.DataFrame(rows)
    return table.assign(ci_low=table["value"] - 0.04, ci_high=table["value"] + 0.03)


def mine(strategy: str, seeds: tuple[int, ...] = SEEDS) -> pd.DataFrame:
    table = results()
    chosen = (table["strategy"] == strategy) & (table["protocol"] == "linear")
    return table[chosen & (table["domain"] == "Dorado") & table["pretrain_seed"].isin(seeds)]


def test_nothing_is_drawn_of_an_objective_that_was_not_trained() -> None:
    assert curves.label_efficiency(results(), "dino") == ""
    assert curves.training_length(None) == ""


@pytest.fixture
def tab(show: Callable[[str], chromium.Tab]) -> chromium.Tab:
    return show(curves.label_efficiency(results(), "simclr"))


def cell(tab: chromium.Tab, row: int) -> str:
    """What the table at the slider's place says of Dorado."""
    return tab.text(f".ccl-curves [data-part=read] tbody tr:nth-child({row + 1}) td:nth-of-type(2)")


def said(centre: float, low: float, high: float, sign: bool = False) -> str:
    def number(value: float) -> str:
        text = f"{abs(value):.3f}".removeprefix("0")
        return ("−" if value < 0 else "+" if sign else "") + text

    return f"{number(centre)} ({number(low)} to {number(high)})"


@pytest.mark.browser
def test_means_errors_and_gains_are_those_of_the_figures(tab: chromium.Tab) -> None:
    for row, strategy in enumerate(("standard", "counterfactual")):
        assert cell(tab, row) == said(*estimates(mine(strategy), OVER_SEEDS).loc[0.05])
    tab.set(STOP, 2)
    assert cell(tab, 1) == said(*estimates(mine("counterfactual"), OVER_SEEDS).loc[1.0])
    tab.set(STOP, 0)
    tab.click(".ccl-curves [data-part=gain] button[value=true]")  # a difference seed by seed
    own = mine("counterfactual").set_index(["pretrain_seed", "probe_seed", "label_fraction"])
    other = mine("standard").set_index(own.index.names)
    difference = own.assign(value=own["value"] - other["value"]).reset_index()
    assert cell(tab, 0) == said(*estimates(difference, OVER_SEEDS).loc[0.05], sign=True)


@pytest.mark.browser
def test_everything_toggles(tab: chromium.Tab) -> None:
    """Two seeds: the interval becomes that of test patients. Fewer panels, more lines."""
    lines = "document.querySelectorAll('.ccl-curves figure svg g').length"
    assert tab.run(lines) == 4
    for seed in (2, 3):
        tab.click(f".ccl-curves [data-facet=mean] input[value='{seed}']")
    known = mine("standard", (0, 1))
    means = known[known["label_fraction"] == 0.05][["value", "ci_low", "ci_high"]].mean()
    assert cell(tab, 0) == said(*means)
    for facet, value, left in (("colour", 2, 6), ("dash", 1, 12), ("panel", 0, 6)):
        tab.click(f".ccl-curves [data-facet={facet}] input[value='{value}']")
        assert tab.run(lines) == left
    tab.click(".ccl-curves [data-part=all] summary")
    assert tab.run("document.querySelectorAll('.ccl-curves [data-part=whole] td').length") == 18


@pytest.mark.browser
def test_a_pointer_finds_the_nearest_place(tab: chromium.Tab) -> None:
    right, middle = tab.run(
        "(b => [b.right, b.top + b.height / 2])"
        "(document.querySelector('.ccl-curves figure svg').getBoundingClientRect())"
    )
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=right - 15, y=middle)
    assert tab.run(f"document.querySelector('{STOP}').value") == "2"


@pytest.mark.browser
def test_two_on_one_page_are_both_drawn(show: Callable[[str], chromium.Tab]) -> None:
    page = curves.label_efficiency(results(), "simclr")
    drawn = (
        "[...document.querySelectorAll('.ccl-curves')].map(e => e.querySelectorAll('svg').length)"
    )
    first, second = show(page + page).run(drawn)
    assert first == second > 0
