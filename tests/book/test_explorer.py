"""The explorer shows the images that there are, in a page, in Jupyter and from the kernel."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from anywidget import AnyWidget
from PIL import Image

from ccl.generator.generator import Generator
from ccl.generator.hvae import HVAE
from companion.book import live
from companion.book.explorer import (
    ExplorerItem,
    difference_image,
    explore,
    explorer_html,
    explorer_items,
    explorer_page,
    live_explorer,
)
from companion.book.grids import cohort_grid, pick, scanner_grid
from companion.cohorts.causes import image_parents
from companion.cohorts.cohort import Cohort
from tests.book.test_widgets import payload
from tests.generator.conftest import SMALL


def item(seed: int = 0, *, truth: bool = True) -> ExplorerItem:
    """A patient with random images for two scanners and two sexes."""
    rng = np.random.default_rng(seed)
    targets = [(scanner, sex) for scanner in ("A", "B") for sex in ("F", "M")]
    real, *others = rng.integers(0, 256, (9, 16, 16), dtype=np.uint8)
    made, true = (dict(zip(targets, some, strict=True)) for some in (others[:4], others[4:]))
    return ExplorerItem("P1", "A", "F", "pneumonia", real, made, true if truth else {})


@pytest.mark.parametrize("truth", [True, False])
def test_every_image_is_where_the_script_looks_for_it(truth: bool) -> None:
    patient = item(truth=truth)
    data = payload(explorer_html([patient]))
    (shown,) = data["items"]
    encoded = shown["sprite"].removeprefix("data:image/png;base64,")
    pixels, width = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))), data["width"]
    np.testing.assert_array_equal(pixels[:, :width], patient.real)
    kinds = {"counterfactuals": patient.counterfactuals, "truths": patient.truths}
    for kind, images in kinds.items():
        assert len(shown[kind]) == len(images)
        for (scanner, sex), image in images.items():
            at = shown[kind][f'["{scanner}","{sex}"]'] * width
            np.testing.assert_array_equal(pixels[:, at : at + width], image)


def test_an_explorer_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one patient"):
        explorer_html([])


def test_differences_are_white_blue_and_red() -> None:
    before = np.array([[100, 100, 100]], np.uint8)
    unchanged, darker, brighter = difference_image(np.array([[100, 0, 200]], np.uint8), before)[0]
    assert unchanged.min() > 240
    assert darker[2] > darker[0]
    assert brighter[0] > brighter[2]


def test_the_kernel_is_asked_for_what_is_chosen() -> None:
    calls = []

    def decode(index: int, do: dict[str, str]) -> np.ndarray:
        calls.append((index, do))
        return items[index].counterfactuals[do["scanner"], do["sex"]]

    items = [item(0), item(1, truth=False)]
    widget = explore(decode, items, scanners=["A", "B"], sexes=["F", "M"])
    patient, scanner, _, boxes = widget.children
    scanner.value = "B"
    assert calls[-1] == (0, {"scanner": "B", "sex": "F"})
    shown = Image.open(io.BytesIO(boxes.children[1].children[1].value))
    np.testing.assert_array_equal(np.asarray(shown)[::3, ::3], items[0].counterfactuals["B", "F"])
    patient.value = 1
    assert calls[-1] == (1, {"scanner": "B", "sex": "F"})
    assert boxes.children[3].layout.display == "none"


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
    for shown, row in zip(items, rows, strict=True):
        assert shown.sex == ""
        assert list(shown.counterfactuals) == list(shown.truths) == [("Fjord", ""), ("Iris", "")]
        assert {image.shape for image in shown.counterfactuals.values()} == {(32, 28)}
        np.testing.assert_array_equal(shown.truths[shown.scanner, ""], women.images[row])
    assert re.search(r'"sex":\[""\]', explorer_html(items))


def test_a_small_generator_comes_along(women: Cohort, generator: Generator) -> None:
    rows = pick(women, 1)
    page, widget = explorer_page(women, generator, rows), live_explorer(women, generator, rows)
    assert isinstance(widget, AnyWidget)
    assert base64.b64encode(widget.weights).decode() in page  # type: ignore[attr-defined]
    (first, *_) = payload(page)["items"]
    assert first["parents"] == {"scanner": "Fjord"}
    # The real image and the two truths, and no stored counterfactual.
    targets = [json.dumps([scanner, ""], separators=(",", ":")) for scanner in ("Fjord", "Iris")]
    assert first["counterfactuals"] == {}
    assert first["truths"] == dict(zip(targets, (1, 2), strict=True))


def test_a_large_generator_is_asked_in_the_kernel(
    women: Cohort, generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LARGEST", 0)
    rows = pick(women, 1)
    assert payload(explorer_page(women, generator, rows))["generator"] is None
    widget = live_explorer(women, generator, rows)
    names = [each.description for each in widget.children if hasattr(each, "description")]  # type: ignore[attr-defined]
    assert names == ["Patient", "Scanner"]


def test_grids_show_every_scanner(women: Cohort, generator: Generator) -> None:
    rows = pick(women, 1)
    cells, titles, names = scanner_grid(women, generator, rows)
    assert titles == ["Real", "do(Fjord)", "do(Iris)"]
    assert names == ["Fjord", "truth", "Iris", "truth"]
    cells, titles, _ = cohort_grid(women, rows)
    assert titles == [*women.scanners, *women.held_out_scanners]
    np.testing.assert_array_equal(cells[0][0], women.images[rows[0]])
