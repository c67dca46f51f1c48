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


@pytest.mark.parametrize("generation", [7, 8])
def test_a_card_that_only_emulates_bfloat16_does_not_compute_in_it(monkeypatch, generation):
    class Properties:
        major = generation  # 7: Volta and Turing, 8: Ampere, the first with instructions

    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda device: True)
    assert devices.computes_in_bfloat16("cuda") == (generation >= 8)
