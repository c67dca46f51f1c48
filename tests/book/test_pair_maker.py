"""The pair maker computes NT-Xent as the package does (headless Chromium)."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from ccl.losses import nt_xent
from companion.book.pair_maker import pair_maker_html
from tests.book import chromium

POOL = 11
STRATEGIES = ("standard", "counterfactual")

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def embedded() -> dict[str, torch.Tensor]:
    """Strategy to embeddings (2n, 4), partners near each other."""
    rng = torch.Generator().manual_seed(0)
    first = torch.randn(POOL, 4, generator=rng)
    return {
        name: torch.cat([first, first + spread * torch.randn(POOL, 4, generator=rng)])
        for name, spread in zip(STRATEGIES, (0.2, 0.6), strict=True)
    }


@pytest.fixture
def tab(show: Callable[[str], chromium.Tab], embedded: dict[str, torch.Tensor]) -> chromium.Tab:
    rng = np.random.default_rng(0)
    facts = [f"v{i}" for i in range(2 * POOL)]
    images = {name: rng.integers(0, 256, (2 * POOL, 16, 14), np.uint8) for name in STRATEGIES}
    unit = {name: torch.nn.functional.normalize(z, dim=1) for name, z in embedded.items()}
    found = {name: (z @ z.T).numpy() for name, z in unit.items()}
    opened = show(pair_maker_html(images, facts, {"standard": found}, temperature=0.1))
    opened.wait(f"document.querySelector('{part('says')}') !== null")
    return opened


def part(name: str) -> str:
    return f".ccl-pair-maker [data-part={name}]"


def drawn(tab: chromium.Tab) -> list[int]:
    """Places in the pool of the sixteen views that are shown."""
    titles = tab.run(f"[...document.querySelectorAll('{part('views')} > *')].map(b => b.title)")
    return [int(title.rpartition("v")[2]) for title in titles]


def mean_loss(tab: chromium.Tab) -> float:
    found = re.search(r"batch costs (\S+) on average", tab.text(part("says")))
    assert found is not None
    return float(found[1])


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("log_temperature", [-1.0, -0.3])
def test_the_loss_of_a_batch_is_that_of_the_package(
    tab: chromium.Tab, embedded: dict[str, torch.Tensor], strategy: str, log_temperature: float
) -> None:
    tab.click(f"{part('strategy')} button[value={strategy}]")
    tab.set(part("temperature"), log_temperature)
    views = drawn(tab)
    assert [view - POOL for view in views[8:]] == views[:8]
    z = embedded[strategy][views]
    wanted = nt_xent(z[:8], z[8:], temperature=10**log_temperature)
    assert mean_loss(tab) == pytest.approx(float(wanted), abs=0.02)


def test_without_the_mask_a_view_is_compared_with_itself(tab: chromium.Tab) -> None:
    masked, terms = mean_loss(tab), f"document.querySelectorAll('{part('terms')} > *').length"
    assert tab.run(terms) == 15
    tab.click(part("mask"))
    assert mean_loss(tab) > masked
    assert tab.run(terms) == 16
    assert tab.text(f"{part('terms')} span").startswith("itself")


def test_another_batch_is_drawn_and_another_view_asked(tab: chromium.Tab) -> None:
    before = drawn(tab)
    tab.click_on("Draw another eight")
    assert sorted(drawn(tab)) != sorted(before)
    tab.set(part("anchor"), 3)
    assert tab.text(part("says")).startswith("View 4 ")
    tab.click(f"{part('views')} > *", 9)
    assert tab.text(part("says")).startswith("View 10 ")
    assert tab.errors == []
