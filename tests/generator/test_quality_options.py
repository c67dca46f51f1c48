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
MEASURES = (
    *("effectiveness", "minimality", "frechet", "nearest_training_image", "gold_error"),
    *("composition", "reversibility", "likelihood", "spectrum", "latent_probe", "off_target"),
)


def features(phantom, options, folder):
    """What a classifier of the scanner, trained with some options, sees in four images."""
    trained = train_classifier(phantom, scanner_target(phantom), options, folder).eval()
    return torch.as_tensor(trained.features(phantom.images[:4]))


@pytest.fixture(scope="module")
def plain(phantom, tmp_path_factory):
    return features(phantom, QUICK, tmp_path_factory.mktemp("plain"))


CHANGES = {"encoder": EncoderOptions(stem_stride=2), "epochs": 2, "batch_size": 20}
CHANGES |= {"learning_rate": 3e-3, "seed": 5}


@pytest.mark.parametrize(("option", "value"), CHANGES.items())
def test_each_option_reaches_the_classifier(phantom, plain, tmp_path, option, value):
    changed = QUICK.model_copy(update={option: value})
    assert not torch.equal(features(phantom, changed, tmp_path), plain)


def test_how_much_is_asked_reaches_the_measures(phantom, generator, monkeypatch):
    """What takes many passes sees `sample` images; what is judged once, `test_images` a scanner.

    Of the latter the counterfactuals are held: those of a large cohort do not fit into memory.
    """
    seen = {}

    def recording(name):
        def record(*arguments, **_):
            seen.setdefault(name, arguments)
            return pd.DataFrame({"images": [name]})

        return record

    for name in (*MEASURES, "all_counterfactuals"):
        monkeypatch.setattr(quality, name, recording(name))
    position = np.arange(len(phantom))
    bank = Bank(phantom.images[:, None], position, position, "scanner", phantom.scanners)
    judges = Judges(None, None, scanner_target(phantom))
    options = QualityOptions(cycles=(2, 5), sample=9, probe_images=8, test_images=7)
    measure(phantom, generator, bank, judges, options)
    of_cycles, _, asked = seen["reversibility"]
    assert (len(of_cycles.rows), tuple(asked)) == (9, (2, 5))
    assert len(seen["likelihood"][0].rows) == len(seen["minimality"][0].rows) == 9
    assert seen["latent_probe"][2] == 8
    judged, _, images = seen["frechet"]
    assert phantom.table["scanner"].iloc[judged.rows].value_counts().tolist() == [7, 7, 7]
    assert set(phantom.table["split"].iloc[judged.rows]) == {"test"}
    np.testing.assert_array_equal(images["counterfactual"][:, 0], phantom.images[judged.rows])


def test_the_classifiers_options_reach_both_judges(phantom, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        quality, "train_classifier", lambda _, targets, options, folder: given.append(options)
    )
    quality.train_judges(phantom, QualityOptions(classifier=QUICK), tmp_path)
    assert given == [QUICK, QUICK.model_copy(update={"seed": QUICK.seed + 1})]
