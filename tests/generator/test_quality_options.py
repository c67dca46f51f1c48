"""The options of the judges and of how much is judged reach their use."""

import numpy as np
import pandas as pd
import pytest
import torch

from ccl.encoders.encoder import EncoderOptions
from ccl.generator.classifier import ClassifierOptions
from companion.cohorts.bank import Bank
from companion.quality import measuring as quality
from companion.quality.classifier import scanner_target, train_classifier
from companion.quality.measuring import Judges, measure
from companion.quality.options import QualityOptions

QUICK = ClassifierOptions(epochs=1, batch_size=30)


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": EncoderOptions(stem_stride=2)},
        {"epochs": 2},
        {"batch_size": 20},
        {"learning_rate": 3e-3},
        {"seed": 5},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_option_reaches_the_classifier(phantom, tmp_path, change):
    first, second = (
        train_classifier(phantom, scanner_target(phantom), options, tmp_path / str(i)).eval()
        for i, options in enumerate((QUICK, QUICK.model_copy(update=change)))
    )
    images = phantom.images[:4]
    assert not torch.equal(*(torch.as_tensor(c.features(images)) for c in (first, second)))


@pytest.mark.parametrize(("cycles", "sample", "probe_images"), [((1,), 6, 7), ((2, 5), 9, 8)])
def test_how_much_is_asked_reaches_the_measures(
    phantom, generator, monkeypatch, cycles, sample, probe_images
):
    """Whatever takes many passes sees `sample` images, what is judged once sees all."""
    seen = {}

    def recording(name):
        def record(*arguments, **_):
            seen.setdefault(name, []).append(arguments)
            return pd.DataFrame({"images": [name]})

        return record

    for name in ("effectiveness", "minimality", "realism", "nearest_training_image", "gold_error"):
        monkeypatch.setattr(quality, name, recording(name))
    for name in ("composition", "reversibility", "likelihood", "all_counterfactuals"):
        monkeypatch.setattr(quality, name, recording(name))
    for name in ("spectrum", "latent_probe"):
        monkeypatch.setattr(quality, name, recording(name))
    rows = phantom.rows("test", "pretraining")
    position = torch.arange(len(phantom)).numpy()
    bank = Bank(phantom.images[:, None], position, position, "scanner", phantom.scanners)
    judges = Judges(None, None, scanner_target(phantom))
    options = QualityOptions(cycles=cycles, sample=sample, probe_images=probe_images)
    measure(phantom, generator, bank, judges, options)
    _, _, of_cycles, asked = seen["reversibility"][0]
    assert (len(of_cycles), tuple(asked)) == (sample, cycles)
    assert len(seen["likelihood"][0][2]) == sample
    assert len(seen["minimality"][0][1]) == sample
    assert len(seen["realism"][0][1]) == len(rows)
    assert seen["latent_probe"][0][3] == probe_images


def test_of_each_scanner_so_many_test_images_are_held(phantom, generator, monkeypatch):
    """With their counterfactuals: those of a large cohort do not fit into memory."""
    held = []
    for name in (
        *("effectiveness", "minimality", "nearest_training_image", "gold_error", "composition"),
        *("reversibility", "likelihood", "all_counterfactuals", "spectrum", "latent_probe"),
    ):
        monkeypatch.setattr(quality, name, lambda *_, **__: pd.DataFrame())
    monkeypatch.setattr(
        quality, "realism", lambda *given: held.append(given) or pd.DataFrame({"images": []})
    )
    monkeypatch.setattr(quality, "_control", lambda table: table)
    position = np.arange(len(phantom))
    bank = Bank(phantom.images[:, None], position, position, "scanner", phantom.scanners)
    judges = Judges(None, None, scanner_target(phantom))
    measure(phantom, generator, bank, judges, QualityOptions(test_images=7, sample=2))
    _, rows, _, images = held[0]
    assert phantom.table["scanner"].iloc[rows].value_counts().tolist() == [7, 7, 7]
    assert set(phantom.table["split"].iloc[rows]) == {"test"}
    np.testing.assert_array_equal(images["counterfactual"][:, 0], phantom.images[rows])


def test_the_classifiers_options_reach_both_judges(phantom, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        quality, "train_classifier", lambda _, targets, options, folder: given.append(options)
    )
    quality.train_judges(phantom, QualityOptions(classifier=QUICK), tmp_path)
    assert given == [QUICK, QUICK.model_copy(update={"seed": QUICK.seed + 1})]


@pytest.mark.parametrize(("sample", "calibration_images"), [(3, 5), (4, 7)])
def test_how_much_is_asked_reaches_the_comparison_of_abductions(
    phantom, generator, monkeypatch, sample, calibration_images
):
    seen = []
    monkeypatch.setattr(quality, "abduction", lambda *arguments: seen.append(arguments))
    monkeypatch.setattr(quality, "scanner_noise", lambda _cohort, _generator, most: most)
    options = QualityOptions(sample=sample, calibration_images=calibration_images)
    judges = Judges(None, None, scanner_target(phantom))
    quality.compare_abduction(phantom, generator, judges, options)
    *_, rows, noise = seen[0]
    assert (len(rows), noise) == (sample, calibration_images)
    assert set(phantom.table["split"].iloc[rows]) == {"val"}
