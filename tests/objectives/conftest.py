"""A batch of pairs, and what modules log without a trainer, shared by the objectives' tests."""

from typing import Any

import pytest
import torch

from ccl.objectives.dino import Dino
from ccl.objectives.simclr import SimCLR
from ccl.views.batch import Batch


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    a = torch.randint(0, 256, (8, 32, 32), dtype=torch.uint8, generator=generator)
    return {"a": a, "b": a.flip(2)}


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Receives what modules log, for steps without a trainer."""
    values: dict[str, Any] = {}
    for kind in (SimCLR, Dino):
        monkeypatch.setattr(
            kind, "log", lambda self, name, value, **_: values.update({name: value})
        )
        monkeypatch.setattr(kind, "log_dict", lambda self, given, **_: values.update(given))
    return values
