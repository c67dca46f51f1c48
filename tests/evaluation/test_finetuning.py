import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from ccl import devices
from ccl.encoders.encoder import EncoderOptions, build_encoder
from ccl.errors import TrainingError
from ccl.views.batch import as_image
from companion.evaluation import finetuning
from companion.evaluation.features import extract_features
from companion.evaluation.finetuning import (
    class_scores,
    epoch_batches,
    finetune,
    fit_classifier,
)
from companion.evaluation.labels import label_subset, labels_of
from companion.evaluation.options import FinetuningAugmentOptions, FinetuningOptions, ProbingOptions
from companion.evaluation.probing import probe
from companion.evaluation.results import RESULT_COLUMNS
from tests.evaluation.test_probing import make_cohort

ABOUT = {"objective": "simclr", "strategy": "standard", "pretrain_seed": 7}
STILL = FinetuningAugmentOptions(
    **{name: 0 for name in FinetuningAugmentOptions.model_fields if "probability" in name}
)
SHORT = FinetuningOptions(
    fractions=(0.5,), n_bootstrap=20, epochs=2, batch_size=16, min_steps=2, max_steps=2
)


def striped_cohort(size=(16, 24), classes=("no", "yes"), patients=300):
    """Stripes whose direction is the class, under brightness that varies and strong noise."""
    cohort = make_cohort(patients=patients, classes=classes)
    rng = np.random.default_rng(3)
    n, (height, width) = len(cohort), size
    y, x = np.mgrid[:height, :width]
    angle = np.pi * cohort.table["label"].to_numpy() / len(classes)
    wave = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
    stripes = np.sin(0.8 * wave + rng.uniform(0, 2 * np.pi, (n, 1, 1)))
    brightness = rng.uniform(90, 160, (n, 1, 1))
    images = brightness + 40 * stripes + 40 * rng.normal(size=(n, height, width))
    return dataclasses.replace(cohort, images=images.clip(0, 255).astype(np.uint8))


class RecordedImages(np.ndarray):
    """Images that remember which rows were read."""

    def __array_finalize__(self, parent):
        self.read = getattr(parent, "read", None)

    def __getitem__(self, rows):
        self.read.append(np.asarray(rows))
        return np.asarray(self)[rows]


def recorded(cohort):
    images = cohort.images.view(RecordedImages)
    images.read = []
    return dataclasses.replace(cohort, images=images)


def new_encoder(seed=0, size=(16, 24), **options):
    torch.manual_seed(seed)
    return build_encoder(EncoderOptions(**{"stem_stride": 2, **options}), size)


def fitted(cohort, encoder=None, fraction=0.5, seed=0, **changes):
    options = SHORT.model_copy(update=changes)
    rows = label_subset(cohort, fraction, 0)
    return fit_classifier(cohort, encoder or new_encoder(), rows, options, seed)


def weights_of(module):
    return torch.cat([value.flatten().float() for value in module.state_dict().values()])


@pytest.fixture(scope="module")
def cohort():
    return striped_cohort(patients=200)


# What it is for


def test_finetuning_beats_a_probe_of_the_same_random_encoder(cohort):
    learning = {"epochs": 5, "batch_size": 32, "learning_rate": 3e-3, "augment": STILL}
    shared = {"fractions": (1.0,), "n_bootstrap": 20}
    encoder = new_encoder()
    before = weights_of(encoder)
    found = finetune(cohort, encoder, FinetuningOptions(**shared, **learning), ABOUT)
    features = extract_features(encoder, cohort.images)
    probed = probe(cohort, features, ProbingOptions(**shared), ABOUT)
    whole = "domain == 'pooled' and subgroup == 'all'"
    pooled = [table.query(whole)["value"].item() for table in (found, probed)]
    assert pooled[0] > 0.9 > 0.75 > pooled[1]
    torch.testing.assert_close(weights_of(encoder), before, rtol=0, atol=0)


def test_results_are_reproducible_and_have_the_labels_and_columns_of_probes(cohort):
    encoder = new_encoder()
    shared = {"fractions": (0.25, 1.0), "seeds": (0, 4), "n_bootstrap": 5}
    probed = probe(
        cohort, extract_features(encoder, cohort.images), ProbingOptions(**shared), ABOUT
    )
    options = SHORT.model_copy(update=shared | {"epochs": 1})
    found = finetune(cohort, encoder, options, ABOUT)
    same = [column for column in RESULT_COLUMNS if column not in ("protocol", "value")]
    same = [column for column in same if not column.startswith("ci")]
    pd.testing.assert_frame_equal(found[same], probed[same])
    assert set(found["protocol"]) == {"finetuned"}
    torch.rand(5)  # what was drawn before does not matter
    pd.testing.assert_frame_equal(finetune(cohort, encoder, options, ABOUT), found)


def test_several_classes():
    cohort = striped_cohort(classes=("a", "b", "c", "d"))
    learning = {"epochs": 4, "max_steps": None, "learning_rate": 3e-3, "augment": STILL}
    found = fitted(cohort, fraction=1.0, **learning)
    scores = class_scores(found.classifier, cohort.images, cohort.rows("test"))
    assert scores.shape == (len(cohort.rows("test")), 4)
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)
    assert found.validation_aucs[found.epoch] > 0.7


def test_any_backbone_and_frame():
    cohort = striped_cohort(size=(32, 48), patients=120)
    encoder = new_encoder(size=(32, 48), architecture="vit-slim")
    found = fitted(cohort, encoder, epochs=1, max_steps=1, min_steps=1, batch_size=4)
    assert np.isfinite(found.validation_aucs).all()


# Which images are seen


def test_only_labelled_rows_and_validation_are_seen_before_the_test(cohort):
    seen = recorded(cohort)
    fitted(seen, fraction=0.25, min_steps=8, max_steps=None)
    training, validation = label_subset(cohort, 0.25, 0), cohort.rows("val", "pretraining")
    read = set(np.concatenate(seen.images.read))
    assert read == set(training) | set(validation)
    assert not read & set(cohort.rows("test"))


def test_test_images_are_read_once_when_learning_is_over(cohort):
    seen = recorded(cohort)
    finetune(seen, new_encoder(), SHORT, ABOUT)
    kinds = [set(cohort.table["split"].iloc[rows]) for rows in seen.images.read]
    first = kinds.index({"test"})
    assert all(kind == {"test"} for kind in kinds[first:])
    tested = np.concatenate(seen.images.read[first:])
    assert sorted(tested) == list(cohort.rows("test"))


def test_training_images_alone_are_augmented(cohort, monkeypatch):
    augmented = []
    original = finetuning.augment

    def spy(source, options, generator):
        augmented.append(source)
        return original(source, options, generator)

    monkeypatch.setattr(finetuning, "augment", spy)
    trained = fitted(cohort, epochs=1, min_steps=3, max_steps=3)
    assert [len(source) for source in augmented] == [16, 16, 16]
    classifier = trained.classifier
    rows = np.array([5, 1, 7])
    with torch.no_grad():
        logits = classifier(as_image(torch.from_numpy(cohort.images[rows])))
    expected = logits[:, 1] - logits[:, 0]
    found = class_scores(classifier, cohort.images, rows, batch_size=2)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("n", "min_steps", "max_steps", "shape"),
    [(100, 8, None, (8, 16)), (100, 2, None, (6, 16)), (100, 2, 4, (4, 16)), (10, 2, 4, (2, 10))],
)
def test_steps_of_an_epoch(n, min_steps, max_steps, shape):
    options = FinetuningOptions(batch_size=16, min_steps=min_steps, max_steps=max_steps)
    batches = epoch_batches(np.arange(n), options, 0, 0)
    assert batches.shape == shape
    counts = np.bincount(batches.ravel(), minlength=n)
    assert counts.max() - counts.min() <= 1  # every labelled image has its turn
    assert len({tuple(batch) for batch in batches}) == len(batches)  # in another order each time
    other = [epoch_batches(np.arange(n), options, *of) for of in ((0, 1), (1, 0))]
    assert not any(np.array_equal(batches, batch) for batch in other)


# Loss


def test_loss_is_weighted_by_the_labelled_subset(cohort, monkeypatch):
    """The losses of a run, once more from its logits, with a NumPy loop."""
    rare = np.random.default_rng(0).random(len(cohort)) < 0.7
    labels = np.where(rare, 0, cohort.table["label"])
    cohort = dataclasses.replace(cohort, table=cohort.table.assign(label=labels))
    calls = []
    original = finetuning.functional.cross_entropy

    def spy(logits, labels, weights):
        loss = original(logits, labels, weights)
        calls.append((logits.detach().double().numpy(), labels.numpy(), loss.item()))
        return loss

    monkeypatch.setattr(finetuning.functional, "cross_entropy", spy)
    fitted(cohort, batch_size=16)
    subset = labels_of(cohort, label_subset(cohort, 0.5, 0))
    weight = [len(subset) / (2 * np.sum(subset == k)) for k in (0, 1)]
    assert weight[1] > 2 * weight[0]
    for logits, label, loss in calls:
        top = bottom = 0.0
        for z, k in zip(logits, label, strict=True):
            top -= weight[k] * (z[k] - np.log(np.exp(z).sum()))
            bottom += weight[k]
        assert loss == pytest.approx(top / bottom, rel=1e-4)


def test_divergence_is_an_error_that_names_the_remedy(cohort):
    with pytest.raises(TrainingError, match=r"finetuning\.learning_rate"):
        fitted(cohort, learning_rate=1e30)


# Early stopping


@pytest.mark.parametrize(
    ("aucs", "patience", "best", "epochs"),
    [
        ((0.5, 0.7, 0.6, 0.65, 0.9), 2, 1, 4),  # stops before the rise
        ((0.5, 0.7, 0.6, 0.65, 0.9), 3, 4, 5),
        ((0.8, 0.8, 0.7, 0.8, 0.1), 9, 0, 5),  # the first of equals
    ],
)
def test_the_best_validation_epoch_is_kept(cohort, monkeypatch, aucs, patience, best, epochs):
    script, states = iter(aucs), []

    def scripted(cohort, scores):
        states.append(weights_of(scores.args[0]))
        return next(script)

    monkeypatch.setattr(finetuning, "validation_auc", scripted)
    found = fitted(cohort, epochs=len(aucs), patience=patience, min_steps=1, max_steps=1)
    assert found.validation_aucs == aucs[:epochs]
    assert found.epoch == best
    kept = [torch.equal(weights_of(found.classifier), state) for state in states]
    assert kept == [epoch == best for epoch in range(epochs)]
    assert not found.classifier.training
    # Normalisations learn in training steps alone: one an epoch here, none in validation.
    assert found.classifier.encoder.backbone.bn1.num_batches_tracked == best + 1


def test_validation_is_the_pretraining_scanners_own(cohort):
    found = fitted(cohort, epochs=1)
    rows = cohort.rows("val", "pretraining")
    scores, labels = class_scores(found.classifier, cohort.images, rows), labels_of(cohort, rows)
    pairs = scores[labels == 1][:, None] - scores[labels == 0]
    assert found.validation_aucs[0] == pytest.approx((pairs > 0).mean() + (pairs == 0).mean() / 2)


# Options


@pytest.fixture(scope="module")
def reference(cohort):
    """Weights after an epoch of two steps, the same each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "computes_in_bfloat16", lambda device_type: True)
        once, again = (weights_of(fitted(cohort, epochs=1).classifier) for _ in range(2))
    assert torch.equal(once, again)
    return once


CHANGES = (
    # Adam and AdamW are told apart by how they decay.
    *({"batch_size": 8}, {"min_steps": 1, "max_steps": 1}, {"optimizer": "adam"}),
    *({"learning_rate": 3e-3}, {"weight_decay": 0.1}, {"precision": "float32"}),
    {"augment": FinetuningOptions().augment.model_copy(update={"rotation_degrees": 1.0})},
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
@pytest.mark.usefixtures("half_precision")
def test_options_reach_the_training(cohort, reference, change):
    changed = weights_of(fitted(cohort, **({"epochs": 1} | change)).classifier)
    assert not torch.equal(changed, reference)


def test_epochs_and_seed_reach_their_use(cohort):
    found = [fitted(cohort, seed=seed, epochs=1 + seed, learning_rate=1e-12) for seed in (0, 1)]
    assert [len(each.validation_aucs) for each in found] == [1, 2]
    assert not torch.allclose(*(each.classifier.head.weight for each in found), atol=1e-3)


def test_options_are_checked():
    with pytest.raises(ValidationError, match="max_steps = 3 is below min_steps = 8"):
        FinetuningOptions(max_steps=3)
    for name, value in {"patience": 0, "batch_size": 1, "epoch": 3}.items():
        with pytest.raises(ValidationError, match=name):
            FinetuningOptions(**{name: value})
    mild = FinetuningOptions.model_validate({"augment": {"brightness": 0.1}}).augment
    assert mild.erase_probability == 0  # what is not given stays this protocol's own default
