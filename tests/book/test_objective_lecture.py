"""The VICReg of the lecture is VICReg, fits in a page, and takes any strategy's pairs."""

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from lightly.loss import VICRegLoss

from ccl.encoders.encoder import EncoderOptions, build_encoder
from ccl.objectives.batches import PairBatches
from ccl.objectives.simclr import SimCLROptions
from ccl.pairs import STRATEGIES, Pairs
from tests.fitting import fit

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "objective.ipynb"


@pytest.fixture(scope="module")
def source() -> str:
    """The one cell that adds the objective."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    (cell,) = [cell for cell in cells if "vicreg" in cell.metadata.get("tags", [])]
    return str(cell.source)


@pytest.fixture(scope="module")
def lecture(source: str) -> Any:
    """What the cell defines."""
    defined: dict[str, Any] = {}
    exec(compile(source, str(NOTEBOOK), "exec"), defined)
    return SimpleNamespace(**defined)


def embeddings(seed: int, n: int = 40, d: int = 12) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) * 0.7


def test_it_takes_less_than_a_page(source: str) -> None:
    assert len(source.splitlines()) < 60
    assert len([node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]) == 1


def test_it_agrees_with_lightly(lecture: Any) -> None:
    a, b = embeddings(0), embeddings(1)
    torch.testing.assert_close(lecture.vicreg(a, b), VICRegLoss()(a, b))


def test_closed_forms(lecture: Any) -> None:
    """Orthogonal columns of spread two: nothing to pay; collapsed ones pay the whole spread."""
    signs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) * 2
    assert lecture.vicreg(signs, signs) == 0
    constant = torch.ones(4, 2)
    assert lecture.vicreg(constant, constant) == pytest.approx(25 * (1 - 1e-2), rel=1e-5)
    same = signs[:, :1].repeat(1, 2)  # both dimensions say the same: covariance 16 / 3
    assert lecture.covariance(same) == pytest.approx((16 / 3) ** 2, rel=1e-5)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_trains_on_the_pairs_of_any_strategy(lecture: Any, strategy: Any, tmp_path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (16, 32, 32), np.uint8)
    bank = SimpleNamespace(images=np.stack([images, images[::-1]], 1), position=np.arange(16))
    batches = PairBatches(Pairs(strategy, images, bank), np.arange(16), batch_size=8, seed=0)
    options = SimCLROptions(epochs=1, batch_size=8, projector_hidden=16, projector_out=8)
    encoder = build_encoder(EncoderOptions(), (32, 32))
    before = [parameter.clone() for parameter in encoder.parameters()]
    module = lecture.VICReg(encoder, options, seed=0, steps_per_epoch=len(batches))
    history = fit(module, batches, epochs=1, folder=tmp_path, seed=0)
    assert np.isfinite(history["loss"]).all()
    changed = [not torch.equal(a, b) for a, b in zip(before, encoder.parameters(), strict=True)]
    assert any(changed)
