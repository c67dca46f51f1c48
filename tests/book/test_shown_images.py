"""What the notebooks show, on a cohort of one sex and of frames that are not square."""

import base64
import re

import numpy as np
import pytest
import torch
from anywidget import AnyWidget

from ccl.generator.generator import Generator
from ccl.generator.hvae import HVAE
from companion.book.explorer import (
    explorer_html,
    explorer_items,
    explorer_page,
    live_explorer,
)
from companion.book.grids import cohort_grid, pick, scanner_grid
from companion.book.projections import colourings, palettes, projection_page
from companion.cohorts.causes import image_parents
from companion.cohorts.cohort import Cohort
from companion.cohorts.registry import build
from companion.cohorts.simulation.phantom_breast import PhantomBreastOptions
from tests.generator.conftest import SMALL


@pytest.fixture(scope="module")
def women(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    options = PhantomBreastOptions(
        height=32,
        width=28,
        n_train=60,
        n_val=20,
        n_test_per_scanner=8,
        shares={"Fjord": 0.5, "Iris": 0.5},
    )
    return build(options, None, tmp_path_factory.mktemp("women") / "cohort")


@pytest.fixture(scope="module")
def generator(women: Cohort) -> Generator:
    """Untrained: what it makes is looked at nowhere."""
    options = SMALL.model_copy(update={"groups": 4})  # one image on 1x1 maps has to be normalised
    torch.manual_seed(0)
    parents = image_parents(women)
    assert set(parents.values) == {"scanner"}
    return Generator(parents, HVAE(options, parents.sizes, 32, 28).eval().requires_grad_(False))


def test_the_explorer_offers_scanners_only(women: Cohort, generator: Generator) -> None:
    rows = pick(women, 2)
    items = explorer_items(women, generator, rows)
    for item, row in zip(items, rows, strict=True):
        targets = [("Fjord", ""), ("Iris", "")]
        assert item.sex == ""
        assert list(item.counterfactuals) == list(item.truths) == targets
        assert {image.shape for image in item.counterfactuals.values()} == {(32, 28)}
        np.testing.assert_array_equal(item.truths[item.scanner, ""], women.images[row])
    page = explorer_html(items)
    assert re.search(r'"sex":\[""\]', page)


def test_a_small_generator_comes_along(women: Cohort, generator: Generator) -> None:
    rows = pick(women, 1)
    page, widget = explorer_page(women, generator, rows), live_explorer(women, generator, rows)
    assert isinstance(widget, AnyWidget)
    assert base64.b64encode(widget.weights).decode() in page  # type: ignore[attr-defined]
    assert '"parents":{"scanner":"Fjord"}' in page
    # The real image and the two truths, and no stored counterfactual.
    assert '"counterfactuals":{},"truths":{"[\\"Fjord\\",\\"\\"]":1' in page


def test_a_large_generator_is_asked_in_the_kernel(
    women: Cohort, generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("companion.book.live.LARGEST", 0)
    rows = pick(women, 1)
    assert '"generator":null' in explorer_page(women, generator, rows)
    live = live_explorer(women, generator, rows)
    names = [child.description for child in live.children if hasattr(child, "description")]  # type: ignore[attr-defined]
    assert names == ["Patient", "Scanner"]


def test_grids_show_every_scanner(women: Cohort, generator: Generator) -> None:
    rows = pick(women, 1)
    cells, titles, names = scanner_grid(women, generator, rows)
    assert titles == ["Real", "do(Fjord)", "do(Iris)"]
    assert names == ["Fjord", "truth", "Iris", "truth"]
    cells, titles, _ = cohort_grid(women, rows)
    assert titles == [*women.scanners, *women.held_out_scanners]
    np.testing.assert_array_equal(cells[0][0], women.images[rows[0]])


def test_maps_are_coloured_by_what_the_table_knows(women: Cohort) -> None:
    rows = women.rows("test")
    coloured = colourings(women, rows)
    assert coloured["scanner"] == list(women.table["scanner"].iloc[rows])
    assert set(coloured["label"]) <= set(women.classes)
    implants = women.table["attribute"].iloc[rows] == "implant"
    if implants.any():
        assert coloured["attribute"].count("implant") == implants.sum()
    colours = palettes(women, coloured)
    assert all(set(coloured[by]) == set(colours[by]) for by in coloured)
    known = [*women.scanners, *women.held_out_scanners]
    assert list(colours["scanner"]) == [s for s in known if s in set(coloured["scanner"])]


def test_the_page_of_maps_names_strategies_and_patients(women: Cohort) -> None:
    rows = women.rows("test")
    maps = {"standard": np.random.default_rng(0).normal(size=(len(rows), 2))}
    page = projection_page(women, maps, rows)
    assert '"title":"SimCLR"' in page
    assert str(women.table["patient_id"].iloc[rows[0]]) in page
