"""Generator, bank, judges and finetuning on another device than the CPU: the same results."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from ccl.devices import device_of
from ccl.generator import training
from ccl.generator.classifier import ClassifierOptions, ImageClassifier
from ccl.generator.finetuning import (
    CounterfactualFinetuning,
    TuningOptions,
    free_energy,
)
from ccl.generator.generator import Generator, save
from ccl.generator.hvae import HVAE
from ccl.generator.pixel_moments import scanner_spreads
from ccl.generator.training import GeneratorOptions, HVAETraining, training_batches
from companion.book import explorer, grids
from companion.cohorts import bank as banks
from companion.cohorts.bank import Bank, BankOptions, all_counterfactuals
from companion.cohorts.causes import image_parents
from companion.cohorts.registry import build
from companion.cohorts.simulation.phantom_breast import PhantomBreastOptions
from companion.experiments import generator as generators
from companion.quality import abduction, latent_probe, nearest_training, realism
from companion.quality import classifier as judging
from companion.quality.classifier import attribute_targets, scanner_target
from companion.quality.measuring import Judges, measure
from companion.quality.options import QualityOptions
from companion.quality.under_age import GRAPH, under_age
from tests.generator.conftest import FLAT
from tests.pretend_device import on_both

WITH_TABLES = {
    "scanner": (),
    "age": (),
    "label": ("age",),
    "image": ("scanner", "label"),
}
FEW = QualityOptions(cycles=(1,), sample=3, probe_images=4, calibration_images=10, test_images=6)


def on(device, generator: Generator) -> Generator:
    return Generator(generator.parents, deepcopy(generator.hvae).to(device))


def moved(phantom, graph=None, **options) -> Generator:
    """A generator with weights away from their start, of a graph and options."""
    torch.manual_seed(0)
    parents = image_parents(phantom, graph)
    hvae = HVAE(FLAT.model_copy(update=options), parents.sizes, 32, 32)
    for parameter in hvae.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    hvae.pixel_map.calibrate(scanner_spreads(phantom, phantom.rows("train", "pretraining")))
    return Generator(parents, hvae.eval().requires_grad_(False))


def nearly_equal(here: np.ndarray, there: np.ndarray) -> None:
    np.testing.assert_allclose(here.astype(int), there.astype(int), atol=1)


@pytest.mark.parametrize(
    ("variable", "coupling", "hvae"),
    [
        ("scanner", "monotone", {"pixel_map": "line", "pixel_noise": "scanner", "abduct": "noise"}),
        ("scanner", "gumbel-max", {"posterior_share": 0.5}),
        ("label", "monotone", {}),  # causes of causes
        ("age", "gumbel-max", {}),
    ],
)
def test_counterfactuals(phantom, device, variable, coupling, hvae):
    here = moved(phantom, WITH_TABLES, **hvae)
    here = replace(here, parents=image_parents(phantom, WITH_TABLES, coupling))
    there, rows = on(device, here), phantom.rows("test", "pretraining")[:6]
    assert there.device == device
    options = BankOptions(variable=variable)
    nearly_equal(*(all_counterfactuals(phantom, g, rows, options) for g in (here, there)))


def test_a_gpu_gets_few_images_at_once_however_many_are_asked_for(
    phantom, generator, device, monkeypatch
):
    handed, predict = [], HVAE.predict

    def watched(self, noise, parents):
        handed.append(len(parents["scanner"]))
        return predict(self, noise, parents)

    def most(generator):
        handed.clear()
        all_counterfactuals(phantom, generator, rows, BankOptions(batch_size=16))
        return max(handed) / 2  # two targets of every image

    monkeypatch.setattr(HVAE, "predict", watched)
    rows = phantom.rows("test", "pretraining")
    assert most(on(device, generator)) == 16
    assert most(generator) == len(rows)
    monkeypatch.setattr(banks, "_PIXELS_PER_BATCH", 20 * 32**2)
    assert most(generator) == 20


@pytest.fixture(scope="module")
def judges(phantom):
    """Untrained, so that their answers hang on every digit."""
    torch.manual_seed(0)
    of_scanner, of_rest = scanner_target(phantom), attribute_targets(phantom)
    one, other = (
        ImageClassifier(targets.sizes, (32, 32), ClassifierOptions(), 1)
        for targets in (of_scanner, of_rest)
    )
    return Judges(one, other, of_rest)


@pytest.fixture
def realistic(monkeypatch, device):
    """Few images are enough for every measure, and distances are taken on the device."""
    monkeypatch.setattr(latent_probe, "SHUFFLES", 1)
    monkeypatch.setattr(realism, "HALVES", 2)
    monkeypatch.setattr(realism, "COMPONENTS", 2)
    monkeypatch.setattr(realism, "FEWEST", dict.fromkeys(realism.FEWEST, 3))
    return lambda there: monkeypatch.setattr(nearest_training, "fastest_device", lambda: there)


def test_every_measure(phantom, judges, device, realistic):
    here = moved(phantom, WITH_TABLES | {"sex": (), "image": ("scanner", "sex", "label")})
    position = np.arange(len(phantom))
    same = np.repeat(
        phantom.images[:, None], 3, axis=1
    )  # what a bank holds is no matter of devices
    bank = Bank(same, position, position, "scanner", phantom.scanners)

    def measured(place):
        realistic(place)
        those = [deepcopy(judge).to(place) for judge in (judges.scanner, judges.attributes)]
        torch.manual_seed(0)  # of the weights of the untrained generator
        return measure(phantom, on(place, here), bank, Judges(*those, judges.targets), FEW)

    tables = on_both(measured)
    pd.testing.assert_frame_equal(*tables, rtol=1e-3, atol=1e-3)
    found = set(tables[0]["measure"])
    assert {"effectiveness", "minimality", "frechet", "nearest_training", "spectrum"} <= found
    assert {"bits_per_pixel", "composition_l1", "reversibility_l1", "gold_error"} <= found
    assert {"scanner_in_latents_8", "off_target_age", "effectiveness_sex"} <= found
    assert {"off_target_scanner_under_sex", "off_target_finding_under_sex"} <= found


def test_causes_of_causes_are_measured(device, tmp_path):
    options = PhantomBreastOptions(
        height=32, width=32, n_train=30, n_val=6, n_test_per_scanner=6, age_effect=0.8
    )
    breast = build(options, None, tmp_path / "breast")
    rows, here = breast.rows("test", "pretraining"), moved(breast, GRAPH)
    tables = on_both(lambda place: under_age(breast, on(place, here), rows))
    pd.testing.assert_frame_equal(*tables, rtol=1e-3)
    assert set(tables[0]["measure"]) == {"label_under_age", "gold_error_age"}


def test_the_comparison_of_abductions(phantom, judges, device, monkeypatch):
    few = {name: abduction.VARIANTS[name] for name in ("both", "alpha .5")}
    monkeypatch.setattr(abduction, "VARIANTS", few)
    here = moved(phantom)

    def compared(place):
        judge = deepcopy(judges.scanner).to(place)
        return abduction.abduction(phantom, on(place, here), judge, FEW)

    tables = on_both(compared)
    pd.testing.assert_frame_equal(*tables, rtol=1e-3, atol=1e-3)
    assert tables[0]["images"].nunique() == 2


@pytest.mark.parametrize(
    "options",
    [
        {"pixel_map": "line", "pixel_noise": "scanner", "registered": "sex"},
        {"pixel_map": "mean", "abduct": "noise"},
    ],
)
def test_a_step_of_training(phantom, device, options, monkeypatch):
    monkeypatch.setattr(HVAETraining, "global_step", property(lambda self: self.steps))
    monkeypatch.setattr(HVAETraining, "log", lambda *_, **__: None)
    monkeypatch.setattr(HVAETraining, "log_dict", lambda *_, **__: None)
    calibrated, calibrate = [], HVAE.calibrate_noise

    def watched(hvae, batches):
        calibrated.append(device_of(hvae))
        calibrate(hvae, batches)

    monkeypatch.setattr(HVAE, "calibrate_noise", watched)

    def trained(place):
        monkeypatch.setattr(training, "fastest_device", lambda: place)
        here = moved(phantom, **options)
        changed = GeneratorOptions(
            hvae=here.hvae.options,
            epochs=1,
            batch_size=20,
            warmup_steps=1,
            ema_decay=0.5,
            gradient_skip=1e15,
        )
        rows = phantom.rows("train", "pretraining")
        batches = training_batches(phantom, rows, here.parents, changed)
        module = HVAETraining(here.hvae.train().requires_grad_(True), changed, 5).to(place)
        optimizer = module.configure_optimizers()["optimizer"]
        torch.manual_seed(0)
        for x, codes in list(batches.epoch(0))[:2]:
            there = {name: code.to(place) for name, code in codes.items()}
            module.training_step((x.to(place), there), 0).backward()
            module.configure_gradient_clipping(optimizer)
            optimizer.step()
            module.on_train_batch_end()
        assert module.skipped == 0
        return module.cpu().averaged(batches)  # on the CPU, as Lightning does after training

    both = on_both(trained)
    assert calibrated == ([torch.device("cpu"), device] if "pixel_noise" in options else [])
    for one, other in zip(*(hvae.state_dict().values() for hvae in both), strict=True):
        assert one.device == other.device == torch.device("cpu")
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_the_layout_that_gpus_want_changes_nothing(phantom):
    """Strides of channels-last images fit no `view` of another layout."""
    here = moved(phantom, pixel_map="line", pixel_noise="scanner")
    there = replace(here, hvae=deepcopy(here.hvae).to(memory_format=torch.channels_last))
    found = []
    for generator in (here, there):
        x, codes = generator.observed(phantom, phantom.rows("train", "pretraining")[:9])
        layout = torch.channels_last if generator is there else torch.contiguous_format
        x = x.contiguous(memory_format=layout)
        hvae = generator.hvae
        hvae.calibrate_noise([(x, codes)])
        made = hvae.predict(hvae.abduct(x, codes), {**codes, "scanner": codes["scanner"] * 0})
        elbo = hvae.elbo(x, codes)
        found.append((hvae.pixel_noise.quantiles, made, elbo.nll, elbo.kl))
    torch.testing.assert_close(*found, rtol=1e-3, atol=2e-2)


def test_a_step_of_finetuning_and_its_baseline(phantom, device, monkeypatch):
    monkeypatch.setattr(CounterfactualFinetuning, "log_dict", lambda *_, **__: None)
    targets = attribute_targets(phantom)
    targets = replace(targets, sizes={**scanner_target(phantom).sizes, **targets.sizes})
    torch.manual_seed(0)
    predictor = ImageClassifier(targets.sizes, (32, 32), ClassifierOptions(), 1).eval()
    generator = moved(phantom)
    changed = GeneratorOptions(hvae=FLAT, epochs=1, batch_size=8)
    rows = phantom.rows("train", "pretraining")
    batches = training_batches(phantom, rows, generator.parents, changed)

    def step(place):
        hvae = on(place, generator).hvae
        constraint = free_energy(hvae, list(batches.epoch(0))[:2], changed)
        hvae.train().requires_grad_(True)
        module = CounterfactualFinetuning(
            *(hvae, deepcopy(predictor), changed, TuningOptions()),
            *(constraint - 1, 5),
        ).to(place)
        x, codes = next(iter(batches.epoch(1)))
        there = {name: code.to(place) for name, code in codes.items()}
        torch.manual_seed(0)
        loss = module.training_step((x.to(place), there), 0)
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in module.hvae.parameters()])
        found = torch.tensor(constraint), loss.detach(), module.multiplier, gradient
        return [each.cpu() for each in found]

    torch.testing.assert_close(*on_both(step), rtol=1e-3, atol=1e-4)


def test_a_judge_is_trained_and_kept_on_the_fastest_device(phantom, device, tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "fastest_device", lambda: device)
    options = ClassifierOptions(epochs=1, batch_size=60)
    judge = judging.train_classifier(phantom, scanner_target(phantom), options, tmp_path)
    assert device_of(judge) == device
    images = phantom.images[:5]
    answers, features = judge.predict(images), judge.features(images)
    np.testing.assert_allclose(features, judge.cpu().features(images), rtol=1e-4, atol=1e-5)
    assert (answers["scanner"] == judge.predict(images)["scanner"]).all()


def test_a_generator_is_stored_from_the_device_and_loaded_onto_it(
    phantom, generator, device, tmp_path
):
    save(on(device, generator), tmp_path)
    loaded = generators.load(tmp_path, device)
    assert loaded.device == device
    for one, other in zip(generator.hvae.parameters(), loaded.hvae.parameters(), strict=True):
        torch.testing.assert_close(one, other.cpu(), rtol=0, atol=0)


def test_what_the_notebooks_show(phantom, generator, device):
    rows = grids.pick(phantom, 1)
    both = (generator, on(device, generator))
    cells = [grids.scanner_grid(phantom, each, rows)[0] for each in both]
    for one, other in zip(*cells, strict=True):
        nearly_equal(np.stack(one), np.stack(other))
    items = explorer.explorer_items(phantom, on(device, generator), rows)
    assert len(items) == len(rows)
