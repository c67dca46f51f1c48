import pytest
import torch

from ccl import devices
from ccl.devices import mixed_precision


@pytest.mark.parametrize("instructions", [True, False])
@pytest.mark.parametrize("wanted", [True, False])
def test_bfloat16_where_it_is_wanted_and_the_processor_has_it(monkeypatch, instructions, wanted):
    monkeypatch.setattr(devices, "computes_in_bfloat16", lambda device_type: instructions)
    layer = torch.nn.Linear(3, 2)
    with mixed_precision("cpu", wanted):
        made = layer(torch.rand(4, 3)).dtype
    assert made == (torch.bfloat16 if wanted and instructions else torch.float32)


def test_graphics_cards_compute_in_bfloat16():
    assert devices.computes_in_bfloat16("cuda")
