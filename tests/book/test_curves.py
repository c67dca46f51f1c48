"""Curves that a reader takes apart average and subtract results as figures do."""

import json
import re
from collections.abc import Iterator

import pandas as pd
import pytest

from companion.book import curves
from companion.book.figures.accuracy import over_seeds
from companion.book.figures.look import STRATEGIES
from companion.book.widgets.curves import Axis, Facet, curves_html
from tests.book import chromium
from tests.book.test_widgets import HOSTILE, Tags

SEEDS = (0, 1, 2, 3)
SHARES = (0.05, 0.25, 1.0)


def results() -> pd.DataFrame:
    """Two strategies and a control, two scanners, both protocols, two probe seeds."""
    rows = [
        {
            "objective": "simclr",
            "strategy": strategy,
            "pretrain_seed": seed,
            "probe_seed": again,
            "protocol": protocol,
            "label_fraction": share,
            "n_labels": round(200 * share),
            "domain": domain,
            "subgroup": "all",
            "metric": "roc_auc",
            "value": (value := 0.7 + 0.05 * i + 0.02 * seed * (i + 1) % 0.07 + 0.1 * share),
            "ci_low": value - 0.04,
            "ci_high": value + 0.03,
        }
        for i, strategy in enumerate(("standard", "counterfactual", "random"))
        for seed in SEEDS
        for again in (0, 1)
        for protocol in ("linear", "finetuned")
        for share in SHARES
        for domain in ("Aurora", "Dorado")
    ]
    table = pd.DataFrame(rows)
    table.loc[table["probe_seed"] == 1, "value"] += 0.01
    return table


def mine(strategy: str, seeds: tuple[int, ...] = SEEDS) -> pd.DataFrame:
    table = results()
    chosen = (table["strategy"] == strategy) & (table["protocol"] == "linear")
    return table[chosen & (table["domain"] == "Dorado") & table["pretrain_seed"].isin(seeds)]


def test_nothing_is_drawn_of_an_objective_that_was_not_trained() -> None:
    assert curves.label_efficiency(results(), "dino") == ""
    assert curves.training_length(None) == ""


def test_no_place_of_the_page_is_left_empty() -> None:
    assert "@@" not in curves.label_efficiency(results(), "simclr")


def test_names_cannot_leave_their_place() -> None:
    table = pd.DataFrame(
        {"strategy": "standard", "domain": [HOSTILE], "x": 1, "value": 0.5, "ci_low": None}
    ).assign(ci_high=None)
    facets = [
        Facet("strategy", "Pairs", "colour", {"standard": HOSTILE}, marks=STRATEGIES),
        Facet("domain", HOSTILE, "panel", {HOSTILE: HOSTILE}),
    ]
    page = curves_html(table, facets, Axis("x", HOSTILE), measure="AUC", reference="standard")
    harmless = curves.label_efficiency(results(), "simclr")
    assert [tag for tag, _ in Tags(page).tags] == [tag for tag, _ in Tags(harmless).tags]
    assert json.loads(Tags(page).data[0])["facets"][0]["values"][0]["label"] == HOSTILE
    assert "innerHTML" not in page
    assert set(re.findall(r"https?://[^\s\"']+", page)) == {"http://www.w3.org/2000/svg"}


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Tab]:
    if chromium.executable() is None:
        pytest.skip(f"no Chromium is installed under the names {chromium.NAMES}")
    path = tmp_path_factory.mktemp("page") / "curves.html"
    body = curves.label_efficiency(results(), "simclr")
    path.write_text(f"<!doctype html><html lang='en'><meta charset='utf-8'><body>{body}</body>")
    with chromium.tab() as opened:
        opened.open(path.as_uri())
        assert opened.errors == []
        yield opened


def cell(tab: chromium.Tab, row: int, column: int = 1) -> str:
    """What the table at the slider's place says; the second column is Dorado."""
    rows = "document.querySelectorAll('.ccl-curves [data-part=read] tbody tr')"
    return tab.run(f"{rows}[{row}].querySelectorAll('td')[{column}].textContent")


def click(tab: chromium.Tab, selector: str) -> None:
    tab.run(f"document.querySelector(`.ccl-curves {selector}`).click()")


def number(value: float, sign: bool = False) -> str:
    text = f"{abs(value):.3f}".removeprefix("0")
    return ("−" if value < 0 else "+" if sign else "") + text


def spread(centre: float, error: float, sign: bool = False) -> str:
    low, high = number(centre - error, sign), number(centre + error, sign)
    return f"{number(centre, sign)} ({low} to {high})"


@pytest.mark.browser
def test_means_and_standard_errors_are_those_of_the_figures(tab: chromium.Tab) -> None:
    for row, strategy in enumerate(("standard", "counterfactual")):
        centre, error = over_seeds(mine(strategy), "value")
        assert cell(tab, row) == spread(centre[0.05], error[0.05])
    tab.run(
        "(() => { const s = document.querySelector('.ccl-curves [data-part=stop]');"
        "s.value = 2; s.dispatchEvent(new Event('input')); })()"
    )
    assert cell(tab, 1) == spread(centre[1.0], error[1.0])
    tab.run(
        "(() => { const s = document.querySelector('.ccl-curves [data-part=stop]');"
        "s.value = 0; s.dispatchEvent(new Event('input')); })()"
    )


@pytest.mark.browser
def test_a_gain_is_a_difference_seed_by_seed(tab: chromium.Tab) -> None:
    click(tab, "[data-part=gain] button[value=true]")
    own = mine("counterfactual").set_index(["pretrain_seed", "probe_seed", "label_fraction"])
    other = mine("standard").set_index(own.index.names)
    difference = own.assign(value=own["value"] - other["value"]).reset_index()
    centre, error = over_seeds(difference, "value")
    assert cell(tab, 0) == spread(centre[0.05], error[0.05], sign=True)
    click(tab, "[data-part=gain] button[value=false]")


@pytest.mark.browser
def test_everything_toggles(tab: chromium.Tab) -> None:
    """Two seeds: the interval becomes that of test patients. Fewer panels, more lines."""
    lines = "document.querySelectorAll('.ccl-curves figure svg g').length"
    assert tab.run(lines) == 4
    for seed in (2, 3):
        click(tab, f"[data-facet=mean] input[value='{seed}']")
    known = mine("standard", (0, 1))
    means = known[known["label_fraction"] == 0.05][["value", "ci_low", "ci_high"]].mean()
    assert (
        cell(tab, 0)
        == f"{number(means.iloc[0])} ({number(means.iloc[1])} to {number(means.iloc[2])})"
    )
    click(tab, "[data-facet=colour] input[value='2']")
    assert tab.run(lines) == 6
    click(tab, "[data-facet=dash] input[value='1']")
    assert tab.run(lines) == 12
    click(tab, "[data-facet=panel] input[value='0']")
    assert tab.run(lines) == 6
    click(tab, "[data-part=all] summary")
    assert tab.run("document.querySelectorAll('.ccl-curves [data-part=whole] td').length") == 18


@pytest.mark.browser
def test_a_pointer_finds_the_nearest_place(tab: chromium.Tab) -> None:
    box = tab.run(
        "(b => [b.right, b.top + b.height / 2])"
        "(document.querySelector('.ccl-curves figure svg').getBoundingClientRect())"
    )
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0] - 15, y=box[1])
    assert tab.run("document.querySelector('.ccl-curves [data-part=stop]').value") == "2"
