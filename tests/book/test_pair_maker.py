"""The pair maker computes NT-Xent as the package does (headless Chromium)."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ccl.losses import nt_xent
from companion.book.widgets.pair_maker import Compared, Views, pair_maker_html
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


def similarities(z: torch.Tensor) -> np.ndarray:
    unit = torch.nn.functional.normalize(z, dim=1)
    return (unit @ unit.T).numpy()


@pytest.fixture(scope="module")
def tab(
    embedded: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[chromium.Tab]:
    if chromium.executable() is None:
        pytest.skip(f"no Chromium is installed under the names {chromium.NAMES}")
    rng = np.random.default_rng(0)
    facts = [f"v{i}" for i in range(2 * POOL)]
    views = {
        name: Views(name, rng.integers(0, 256, (2 * POOL, 16, 14), np.uint8), facts)
        for name in STRATEGIES
    }
    found = {name: similarities(z) for name, z in embedded.items()}
    path: Path = tmp_path_factory.mktemp("page") / "pairs.html"
    body = pair_maker_html(views, {"standard": Compared("SimCLR", found)}, 0.1)
    path.write_text(
        f"<!doctype html><html lang='en'><meta charset='utf-8'><body>{body}</body></html>"
    )
    with chromium.tab() as opened:
        opened.open(path.as_uri())
        opened.wait("document.querySelector('.ccl-pair-maker [data-part=says]') !== null")
        yield opened


def part(name: str) -> str:
    return f"document.querySelector('.ccl-pair-maker [data-part={name}]')"


def drawn(tab: chromium.Tab) -> list[int]:
    """Places in the pool of the sixteen views that are shown."""
    titles = tab.run(f"[...{part('views')}.children].map(b => b.title)")
    return [int(title.rpartition("v")[2]) for title in titles]


def mean_loss(tab: chromium.Tab) -> float:
    found = re.search(r"batch costs (\S+) on average", tab.run(f"{part('says')}.textContent"))
    assert found is not None
    return float(found[1])


def set_slider(tab: chromium.Tab, name: str, value: float) -> None:
    tab.run(
        f"(() => {{ const s = {part(name)}; s.value = {value};"
        "s.dispatchEvent(new Event('input')); })()"
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("log_temperature", [-1.0, -0.3])
def test_the_loss_of_a_batch_is_that_of_the_package(
    tab: chromium.Tab, embedded: dict[str, torch.Tensor], strategy: str, log_temperature: float
) -> None:
    tab.run(f"{part('strategy')}.querySelector('button[value={strategy}]').click()")
    set_slider(tab, "temperature", log_temperature)
    views = drawn(tab)
    assert [view - POOL for view in views[8:]] == views[:8]
    z = embedded[strategy][views]
    wanted = nt_xent(z[:8], z[8:], temperature=10**log_temperature)
    assert mean_loss(tab) == pytest.approx(float(wanted), abs=0.02)


def test_without_the_mask_a_view_is_compared_with_itself(tab: chromium.Tab) -> None:
    set_slider(tab, "temperature", -1)
    masked = mean_loss(tab)
    assert tab.run(f"{part('terms')}.children.length") == 15
    tab.run(f"{part('mask')}.click()")
    assert mean_loss(tab) > masked
    assert tab.run(f"{part('terms')}.children.length") == 16
    assert tab.run(f"{part('terms')}.querySelector('span').textContent").startswith("itself")
    tab.run(f"{part('mask')}.click()")
    assert mean_loss(tab) == masked


def test_another_batch_is_drawn_and_another_view_asked(tab: chromium.Tab) -> None:
    before = drawn(tab)
    tab.run(
        "[...document.querySelectorAll('.ccl-pair-maker button')]"
        ".find(b => b.textContent === 'Draw another eight').click()"
    )
    assert sorted(drawn(tab)) != sorted(before)
    set_slider(tab, "anchor", 3)
    said = tab.run(f"{part('says')}.textContent")
    assert said.startswith("View 4 ")
    tab.run(f"{part('views')}.children[9].click()")
    assert tab.run(f"{part('says')}.textContent").startswith("View 10 ")
    assert tab.errors == []
    assert [url for url in tab.requests if not url.startswith(("file:", "data:"))] == []
