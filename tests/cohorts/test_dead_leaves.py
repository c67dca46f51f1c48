"""Procedural images, and the weights that are taught on them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ccl.encoders.encoder import build_encoder
from ccl.encoders.options import EncoderOptions, VitOptions
from companion.cohorts.simulation.dead_leaves import LeavesOptions, dead_leaf, dead_leaves
from companion.experiments import leaves

SLIM_VIT = VitOptions(patch=8, width=64, depth=3, heads=2)


def test_an_image_depends_on_seed_and_place_alone() -> None:
    few, many = (dead_leaves(LeavesOptions(n=n, size=24)) for n in (2, 5))
    np.testing.assert_array_equal(few, many[:2])
    assert few.shape == (2, 24, 24)
    assert few.dtype == np.uint8
    assert (dead_leaf(LeavesOptions(size=24, seed=1), 0) != few[0]).any()


@pytest.mark.parametrize(
    "change", [{"shapes": (1, 1)}, {"radius": (0.4, 0.5)}, {"noise": 0.0}, {"blur": 0.0}], ids=str
)
def test_options_reach_the_images(change: dict[str, Any]) -> None:
    plain, changed = (dead_leaves(LeavesOptions(n=4, size=32, **more)) for more in ({}, change))
    assert (changed != plain).any()


@pytest.mark.parametrize("architecture", leaves.ARCHITECTURES)
def test_the_weights_in_the_package_fit_and_are_of_the_recipe(architecture: str) -> None:
    options = EncoderOptions(architecture=architecture, vit=SLIM_VIT, pretrained="leaves")
    encoder = build_encoder(options, (64, 48))
    untrained = build_encoder(options.model_copy(update={"pretrained": None}), (64, 48))
    taught = encoder.state_dict()
    assert any((taught[n] != w).any() for n, w in untrained.state_dict().items() if w.ndim > 1)
    file = leaves.weights_file(architecture, "leaves")
    assert file.stat().st_size < 3e6
    record = json.loads(file.with_suffix(".json").read_text())
    for part, options in zip(("leaves", "simclr"), leaves.recipe(architecture), strict=True):
        assert record[part] == options.model_dump(mode="json")


def test_teaching_writes_weights_and_how_they_were_made(tmp_path: Path) -> None:
    images, training = leaves.recipe("vit-slim", images=64, epochs=1)
    file = leaves.teach(images, training.model_copy(update={"batch_size": 32}), tmp_path)
    options = EncoderOptions(architecture="vit-slim", vit=SLIM_VIT, pretrained=str(file))
    assert all(torch.isfinite(p).all() for p in build_encoder(options, (64, 64)).parameters())
    record = json.loads(file.with_suffix(".json").read_text())
    assert record["leaves"]["n"] == 64
    assert record["loss"] > 0
