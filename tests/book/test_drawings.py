"""Drawn diagrams: named for those who do not see them, and true to what they draw."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from ccl.generator.hvae_options import HVAEOptions, Stage
from companion.book import drawings
from companion.cohorts.cohort import Cohort
from companion.cohorts.simulation.phantom import build, counterfactual, true_labels
from companion.cohorts.simulation.phantom_breast import PhantomBreastOptions
from companion.cohorts.simulation.phantom_chest import PhantomChestOptions

IMAGE = np.arange(48, dtype=np.uint8).reshape(8, 6)
SMALL = {"n_train": 40, "n_val": 4, "n_test_per_scanner": 4}


def texts(svg: str) -> list[str]:
    return ["".join(each.itertext()) for each in ElementTree.fromstring(svg).iter("text")]


@pytest.mark.parametrize("graph", drawings.PHANTOMS.values(), ids=drawings.PHANTOMS)
def test_causes_stand_above_what_they_cause(graph: dict[str, tuple[str, ...]]) -> None:
    svg = drawings.causal_graph(graph)
    assert sorted(texts(svg)) == sorted(graph)
    height = {
        "".join(each.itertext()): float(each.get("y", 0))
        for each in ElementTree.fromstring(svg).iter("text")
    }
    edges = [(cause, effect) for effect, causes in graph.items() for cause in causes]
    assert all(height[cause] < height[effect] for cause, effect in edges)
    assert svg.count("marker-end") == len(edges)


def changed(options: PhantomChestOptions, table: pd.DataFrame, do: dict[str, str]) -> bool:
    return bool((counterfactual(options, table, do) != counterfactual(options, table, {})).any())


def test_the_chest_phantoms_graph_is_the_simulators(tmp_path: Path) -> None:
    options = PhantomChestOptions(**SMALL)
    build(options, tmp_path / "cohort")
    cohort = Cohort.load(tmp_path / "cohort")
    table = cohort.table[cohort.table["sex"] == "M"].head(8)
    graph = drawings.PHANTOMS["Chest radiographs"]
    own = table["label"].to_numpy()
    assert (true_labels(options, table, {"sex": "F"}) == own).all()
    assert "sex" not in graph["finding"]
    assert changed(options, table, {"sex": "F"})
    assert changed(options, table, {"scanner": "Dorado"})


def test_the_breast_phantoms_graph_is_the_simulators(tmp_path: Path) -> None:
    options = PhantomBreastOptions(**SMALL)
    build(options, tmp_path / "cohort")
    cohort = Cohort.load(tmp_path / "cohort")
    table = cohort.table.head(20)
    old = true_labels(options, table, {"age": "79"})
    young = true_labels(options, table, {"age": "40"})
    assert (old <= young).all()
    assert (old < young).any()
    assert drawings.PHANTOMS["Mammograms"]["density"] == ("age",)


def test_names_cannot_leave_the_drawing() -> None:
    graph = {"<b>&": (), "image": ("<b>&",)}
    assert texts(drawings.causal_graph(graph)) == ["<b>&", "image"]


def test_the_hierarchy_shows_every_resolution_and_latent() -> None:
    stages = (
        Stage(resolution=8, width=4, encoder_blocks=1, decoder_blocks=1),
        Stage(resolution=4, width=4, encoder_blocks=1, decoder_blocks=2, latent_channels=3),
    )
    found = texts(drawings.hierarchy(HVAEOptions(stages=stages), (8, 6)))
    assert [found.count(words) for words in ("8 × 6", "4 × 3", "z, 3 × 2")] == [2, 2, 1]


@pytest.mark.parametrize(("local_crops", "drawn"), [(2, 1), (4, 2), (8, 4), (12, 4)])
def test_half_of_the_crops_are_of_either_image(local_crops: int, drawn: int) -> None:
    svg = drawings.multi_crop(IMAGE, IMAGE + 100, local_crops)
    assert svg.count("<image") == 2 * (1 + 1 + drawn)
    assert re.search(r'role="img" aria-label="[^"]*teacher sees the two global', svg)
