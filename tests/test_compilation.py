"""Compiled networks are the networks that they were, and no compiler is a message."""

import functools

import pytest
import torch
from torch import nn

from ccl import compilation
from ccl.encoders.encoder import build_encoder
from ccl.errors import CompilerError
from ccl.generator.hvae import HVAE
from ccl.generator.options import GeneratorOptions
from ccl.generator.training import HVAETraining
from ccl.objectives.dino import Dino
from ccl.objectives.dino_options import DinoOptions
from ccl.objectives.simclr import SimCLR
from ccl.objectives.simclr_options import SimCLROptions
from tests.generator.conftest import SMALL as GENERATOR
from tests.objectives.test_dino import SMALL as SMALL_DINO
from tests.objectives.test_simclr import SMALL as SMALL_SIMCLR

SMALL_HVAE = GENERATOR.model_copy(update={"stages": GENERATOR.stages[::2]})


@pytest.fixture
def graphs(monkeypatch):
    """The graphs that were captured; they run as they are, which takes seconds and not minutes."""
    captured = []

    def run_as_it_is(graph, inputs):
        captured.append(graph)
        return graph.forward

    compile_ = functools.partialmethod(nn.Module.compile, backend=run_as_it_is)
    monkeypatch.setattr(nn.Module, "compile", compile_)
    monkeypatch.setattr(compilation, "require_compiler", lambda: None)
    monkeypatch.setattr(compilation, "fastest_device", lambda: torch.device("cuda"))
    torch.compiler.reset()
    yield captured
    torch.compiler.reset()


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Modules do without a trainer here."""
    for module in (SimCLR, Dino, HVAETraining):
        monkeypatch.setattr(module, "log", lambda *args, **how: None)
        monkeypatch.setattr(module, "log_dict", lambda *args, **how: None)


def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (8, 32, 32), dtype=torch.uint8, generator=generator)


def simclr(compiled):
    options = SimCLROptions(**SMALL_SIMCLR, precision="float32", compile=compiled)
    return SimCLR(build_encoder(options.encoder, (32, 32)), options, seed=0, steps_per_epoch=5)


def dino(compiled):
    options = DinoOptions.model_validate(SMALL_DINO | {"compile": compiled})
    return Dino(build_encoder(options.encoder, (32, 32)), options, seed=0, steps_per_epoch=5)


def generator(compiled):
    options = GeneratorOptions(hvae=SMALL_HVAE, epochs=1, compile=compiled)
    hvae = HVAE(SMALL_HVAE, {"scanner": 3}, 32, 32)
    return HVAETraining(hvae, options, total_steps=5)


MODULES = {"simclr": simclr, "dino": dino, "generator": generator}


def learned(what, compiled):
    """Loss, gradients and names of the weights of one step."""
    torch.manual_seed(0)
    module, seen = MODULES[what](compiled), images()
    batch = {"a": seen, "b": seen.flip(2)}
    if what == "generator":
        batch = (seen[:, None].float() / 127.5 - 1, {"scanner": torch.arange(8) % 3})
    torch.manual_seed(1)
    loss = module.training_step(batch, 0)
    loss.backward()
    gradients = {name: p.grad for name, p in module.named_parameters() if p.requires_grad}
    return loss.detach(), gradients, list(module.state_dict())


@pytest.mark.parametrize("what", MODULES)
def test_a_compiled_step_is_the_same_step(graphs, what):
    loss, gradients, names = learned(what, compiled=False)
    assert not graphs
    compiled_loss, compiled_gradients, compiled_names = learned(what, compiled=True)
    assert graphs
    assert compiled_names == names
    torch.testing.assert_close(compiled_loss, loss)
    torch.testing.assert_close(compiled_gradients, gradients, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("what", MODULES)
def test_a_cpu_runs_networks_as_they_are(caplog, what):
    module = MODULES[what](compiled=True)
    assert not any(part._compiled_call_impl for part in module.modules())
    assert "compile: true is for GPUs" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("what", MODULES)
def test_so_it_is_by_the_compiler_that_trainings_use(monkeypatch, what):
    loss, gradients, _ = learned(what, compiled=False)
    elsewhere = torch.device("cuda")
    monkeypatch.setattr(compilation, "fastest_device", lambda: elsewhere)
    monkeypatch.setattr(compilation, "require_compiler", lambda: None)
    compiled_loss, compiled_gradients, _ = learned(what, compiled=True)
    torch.testing.assert_close(compiled_loss, loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(compiled_gradients, gradients, rtol=1e-2, atol=1e-4)


def test_a_machine_without_compiler_says_what_to_do(monkeypatch):
    def fails(function):
        raise RuntimeError("No working C++ compiler found\nin any of these places")

    monkeypatch.setattr(torch, "compile", fails)
    with pytest.raises(CompilerError, match=r"No working C\+\+ compiler found\. .*compile: false"):
        compilation.require_compiler()
