"""Each measure of the counterfactuals against an oracle, and against controls that must fail."""

import tracemalloc
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ccl.generator.classifier import UNKNOWN, ClassifierOptions
from ccl.generator.generator import to_images, to_model
from ccl.generator.hvae import ImageNoise
from ccl.generator.pixel_noise import PixelNoise
from companion.cohorts.bank import BankOptions, all_counterfactuals
from companion.cohorts.truths import true_counterfactual
from companion.quality import latent_probe as latent_probing
from companion.quality import realism
from companion.quality.abduction import VARIANTS, abduction, scanner_noise, variant
from companion.quality.classifier import (
    Targets,
    attribute_targets,
    scanner_target,
    train_classifier,
)
from companion.quality.cycles import composition, reversibility
from companion.quality.distances import log_spectrum, spectrum_error, ssim
from companion.quality.effectiveness import effectiveness
from companion.quality.gold_error import gold_error
from companion.quality.latent_probe import fit_probes, latent_probe
from companion.quality.likelihood import likelihood
from companion.quality.measuring import untrained
from companion.quality.minimality import minimality, needed_share
from companion.quality.nearest_training import nearest_distance, nearest_training_image
from companion.quality.off_target import off_target
from companion.quality.options import QualityOptions
from companion.quality.realism import frechet, frechet_distance, spectrum
from companion.quality.sample import Measurements, Sample
from companion.quality.summary import overview


@pytest.fixture(scope="module")
def classifier(phantom, tmp_path_factory):
    options = ClassifierOptions(epochs=12, batch_size=20)
    return train_classifier(phantom, scanner_target(phantom), options, tmp_path_factory.mktemp("c"))


@pytest.fixture(scope="module")
def rows(phantom):
    return phantom.rows("test", "pretraining")


@pytest.fixture(scope="module")
def sample(phantom, rows):
    return Sample(phantom, rows)


@pytest.fixture(scope="module")
def alone(sample):
    return np.repeat(sample.real[:, None], 3, axis=1)


@pytest.fixture(scope="module")
def truth(phantom, rows):
    return np.stack(
        [true_counterfactual(phantom, rows, {"scanner": s}) for s in phantom.scanners], axis=1
    )


def pooled(table: pd.DataFrame, images: str, measure: str | None = None) -> float:
    """The mean over all directions; by default of the table's first measure."""
    wanted = table["measure"].iloc[0] if measure is None else measure
    mine = table[(table["images"] == images) & (table["target"] == "all")]
    return float(mine.loc[mine["measure"] == wanted, "value"].item())


class Answers:
    """A judge that looks answers up by an image's first pixel."""

    def __init__(self, **answers: list) -> None:
        self.answers = answers

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {name: np.array(y)[images[:, 0, 0]] for name, y in self.answers.items()}


@pytest.fixture(scope="module")
def effective(sample, classifier, alone, truth):
    """Effectiveness of images that ought to be effective, in part, or not at all."""
    fails_on_one = truth.copy()
    fails_on_one[:, 0] = truth[:, 1]  # do(Aurora) fails, the rest succeeds
    images = {"truth": truth, "alone": alone, "one fails": fails_on_one}
    return effectiveness(sample, classifier, images)


def test_truth_is_effective_and_leaving_alone_is_not(effective):
    assert pooled(effective, "real") > 0.9
    assert pooled(effective, "truth") > 0.9
    assert pooled(effective, "alone") < 0.1
    assert (effective["ci_low"] <= effective["value"] + 1e-9).all()
    assert (effective["value"] <= effective["ci_high"] + 1e-9).all()


def test_an_untrained_generator_is_not_effective(sample, generator, classifier):
    blank = all_counterfactuals(sample.cohort, generator, sample.rows, BankOptions())
    table = effectiveness(sample, classifier, {"untrained": blank})
    assert pooled(table, "untrained") < 0.6


def test_effectiveness_has_a_row_per_direction(effective):
    mine = effective[effective["images"] == "one fails"].query("measure == 'effectiveness'")
    found = mine.set_index(["source", "target"])["value"]
    assert len(found) == 6 + 3 + 1
    assert max(found["Boreal", "Aurora"], found["Cirrus", "Aurora"], found["all", "Aurora"]) < 0.3
    assert min(found["Aurora", "Boreal"], found["Aurora", "Cirrus"]) > 0.9


def test_uniform_targets_count_the_real_image_of_the_own_scanner(effective):
    # As many images of each of three scanners: per target a third are real, and seen rightly.
    expected = pooled(effective, "real", "effectiveness") / 3
    expected += pooled(effective, "alone", "effectiveness") * 2 / 3
    assert pooled(effective, "alone", "effectiveness_uniform") == pytest.approx(expected)


def test_summary_counts_directions_alike_and_resamples_patients():
    codes, patients = np.array([0, 0, 0, 1]), np.array(["p", "q", "q", "p"])
    cohort = SimpleNamespace(values=lambda variable: ("A", "B"), patients=lambda rows: patients)
    cohort.codes = lambda variable, rows: codes
    found = Measurements(Sample(cohort, np.arange(4)))
    found.add("m", "x", np.array([0.0, 3, 3]), 1, np.arange(3))
    found.add("m", "x", np.array([10.0]), 0, np.array([3]))
    table = found.summary().set_index(["source", "target"])
    assert table.loc[("A", "B"), "value"] == 2
    assert table.loc[("all", "all"), "value"] == 6
    assert table.loc[("A", "B"), ["ci_low", "ci_high", "n"]].tolist() == [0, 3, 3]


def test_the_overview_has_a_row_per_measure_in_their_order():
    columns = ["measure", "images", "source", "target", "value", "ci_low", "ci_high"]
    rows = [("b", "real", "all", "all", 0.98765, 0.9, 1), ("b", "real", "all", "X", 0, 0, 0)]
    rows += [("a", "untouched", "all", "all", 12.345, 12, 13)]
    table = overview(pd.DataFrame(rows, columns=columns))
    assert list(table.index) == ["b", "a"]
    assert table.loc["b"].tolist() == ["0.988 [0.9, 1]", ""]


def test_gold_error_of_truth_is_zero_and_of_leaving_alone_is_not(phantom, sample, truth):
    means = np.stack(
        [
            true_counterfactual(phantom, sample.rows, {"scanner": s}, noise=False)
            for s in phantom.scanners
        ],
        axis=1,
    )
    table = gold_error(sample, means, truth)
    for measure, perfect in {"gold_error": 0, "gold_ssim": 1, "gold_spectrum": 0}.items():
        assert pooled(table, "counterfactual", measure) == pytest.approx(perfect, abs=1e-6)
    assert pooled(table, "counterfactual", "gold_imprint") == 0
    worse = [pooled(table, k, "gold_error") for k in ("untouched", "histogram", "pixel_regression")]
    assert worse[0] > worse[1] > 0
    assert worse[0] > worse[2] > 0
    assert pooled(table, "untouched", "gold_ssim") < 0.9
    assert pooled(table, "untouched", "gold_spectrum") > 1
    directions = table[
        (table["images"] == "untouched")
        & (table["target"] != "all")
        & (table["measure"] == "gold_error")
    ]
    assert len(directions) == 6
    assert worse[0] == pytest.approx(directions["value"].mean())
    lettered = table[(table["measure"] == "gold_imprint") & (table["source"] != "all")]
    assert set(map(frozenset, lettered[["source", "target"]].to_numpy())) == {
        frozenset({"Aurora", "Cirrus"}),  # of the three, Cirrus prints letters
        frozenset({"Boreal", "Cirrus"}),
    }


def test_gold_error_of_the_sex_is_against_its_truth(phantom, rows):
    sexes = phantom.values("sex")
    means = np.stack(
        [true_counterfactual(phantom, rows, {"sex": x}, noise=False) for x in sexes], axis=1
    )
    table = gold_error(Sample(phantom, rows, "sex"), means, means)
    assert pooled(table, "counterfactual", "gold_error_sex") == 0
    untouched, moved = (pooled(table, k, "gold_error_sex") for k in ("untouched", "registration"))
    assert 2 < moved < untouched
    assert set(table["images"]) == {"untouched", "registration", "counterfactual"}


def test_spectra_see_noise_and_blur():
    rng = np.random.default_rng(0)
    noise = rng.normal(128, 20, (64, 32, 32)).clip(0, 255).round().astype(np.uint8)
    spectrum = log_spectrum(noise)
    expected = 10 * np.log10((20 / 255) ** 2)  # white noise has its variance at every frequency
    assert spectrum[:, 1:].mean() == pytest.approx(expected, abs=0.5)
    half = (noise // 2 + 64).astype(np.uint8)  # half the amplitude: 6 decibels less
    assert spectrum_error(half, noise).mean() == pytest.approx(6.02, abs=0.3)
    assert spectrum_error(noise, noise).max() == 0


def test_structural_similarity_is_that_of_scikit_image():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (3, 24, 17), np.uint8)
    b = (a // 2 + rng.integers(0, 100, a.shape)).astype(np.uint8)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    each = zip(a, b, strict=True)
    assert ssim(a, b).tolist() == [
        structural_similarity(x, y, data_range=255, **settings) for x, y in each
    ]


@pytest.fixture
def drifting(generator, monkeypatch):
    """A generator whose every prediction is one grey level brighter than the image before."""
    monkeypatch.setattr(type(generator.hvae), "abduct", lambda self, x, parents: Noise(x))
    monkeypatch.setattr(
        type(generator.hvae), "predict", lambda self, noise, parents: noise.x + 2 / 255
    )
    return generator


class Noise:
    def __init__(self, x):
        self.x = x

    def without_pixels(self):
        return self


def test_cycles_are_counted(phantom, rows, drifting):
    dark = Sample(phantom, rows[:6])
    table = composition(dark, {"g": drifting}, (1, 10))
    # One grey level per intervention, but for pixels that are white already.
    one, ten = (pooled(table, f"g, {n}", "composition_l1") for n in ("1 cycle", "10 cycles"))
    assert 0.8 < one <= 1
    assert 8 < ten <= 10
    there_and_back = reversibility(dark, {"g": drifting}, (1,))
    assert 1.6 < pooled(there_and_back, "g, 1 cycle", "reversibility_l1") <= 2
    assert pooled(there_and_back, "g, one way", "reversibility_l1") == pytest.approx(one)


def test_an_untrained_generator_is_always_the_same_and_leaves_random_numbers_alone(generator):
    before = torch.get_rng_state()
    first, second = (untrained(generator).hvae.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(before, torch.get_rng_state())


def test_an_untrained_generator_fails_composition(sample, generator):
    table = composition(sample, {"untrained": untrained(generator)}, (1,))
    assert pooled(table, "untrained, 1 cycle", "composition_l1") > 20
    assert pooled(table, "untrained, 1 cycle", "composition_ssim") < 0.5


def test_off_target_changes_are_those_that_the_judge_sees(phantom, rows):
    targets = Targets({"sex": 2, "age": 1})
    stated = phantom.codes("sex", rows)
    number = np.arange(len(rows))  # an image is known by its first pixel
    real = phantom.images[rows].copy()
    real[:, 0, 0] = number
    counterfactual = np.repeat(real[:, None], 3, axis=1)
    counterfactual[..., 0, 0] = number[:, None] + len(rows)
    seen = np.concatenate([stated, 1 - stated])  # every sex is turned over
    judge = Answers(sex=list(seen), age=[40.0] * len(rows) + [43.0] * len(rows))
    images = np.array(phantom.images)
    images[rows] = real
    cohort = replace(phantom, images=images)
    images = {"turned": counterfactual, "same": np.repeat(real[:, None], 3, axis=1)}
    table = off_target(Sample(cohort, rows), judge, targets, images)
    assert pooled(table, "turned", "off_target_sex") == -1
    assert pooled(table, "turned", "flips_sex") == 1
    assert pooled(table, "turned", "off_target_age") == pytest.approx(3)
    assert pooled(table, "same", "off_target_sex") == pooled(table, "same", "flips_sex") == 0
    under_sex = {"turned": counterfactual[:, :2]}
    table = off_target(Sample(cohort, rows, "sex"), judge, targets, under_sex)
    assert set(table["measure"]) == {"off_target_age_under_sex"}  # the sex was asked for
    assert pooled(table, "turned", "off_target_age_under_sex") == pytest.approx(3)


def test_unknown_attributes_teach_nothing_and_are_not_asked_for(phantom, tmp_path):
    assert attribute_targets(phantom).sizes == {"sex": 2, "finding": 2, "age": 1}
    table = phantom.table.assign(sex="", age=np.nan)
    unknown = replace(phantom, table=table)
    assert attribute_targets(unknown).sizes == {"finding": 2}
    codes = Targets({"sex": 2}).codes(unknown, np.arange(3))["sex"]
    assert codes.tolist() == [UNKNOWN] * 3
    options = ClassifierOptions(epochs=1, batch_size=20)
    trained = train_classifier(unknown, Targets({"sex": 2, "age": 1}), options, tmp_path)
    assert all(torch.isfinite(p).all() for p in trained.parameters())


class Threshold:
    """Sees scanner 1 where the first pixel is at least a bound."""

    def __init__(self, bound: int) -> None:
        self.bound = bound

    def predict(self, images):
        return {"scanner": (images[:, 0, 0] >= self.bound).astype(int)}


def test_needed_share_of_the_change():
    real, changed = np.zeros((3, 2, 2), np.uint8), np.full((3, 2, 2), 100, np.uint8)
    changed[1] = 50
    changed[2] = 20
    found = needed_share(real, changed, Threshold(40), 1)
    assert found[:2].tolist() == [0.4, 0.8]
    assert np.isnan(found[2])  # never seen as the target
    assert np.isnan(needed_share(changed[:1], real[:1], Threshold(0), 1)[0])  # needed no change


def test_truth_needs_more_of_its_change_than_an_exaggeration(sample, classifier, truth, alone):
    exaggerated = (alone + 2.0 * (truth.astype(float) - alone)).clip(0, 255).astype(np.uint8)
    table = minimality(sample, classifier, {"truth": truth, "too much": exaggerated})
    assert pooled(table, "truth") > pooled(table, "too much")


def test_frechet_distance_of_gaussians():
    rng = np.random.default_rng(0)
    a = rng.normal(0, 1, (40_000, 2))
    b = rng.normal((3, 0), (2, 1), (40_000, 2))
    assert frechet_distance(a, b) == pytest.approx(9 + 1, rel=0.05)  # |m|^2 + (2 - 1)^2
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_the_spectrum_of_truth_is_the_floor_and_blur_is_seen(sample, truth):
    blurred = gaussian_filter(truth.astype(float), (0, 0, 1, 1)).round().astype(np.uint8)
    table = spectrum(sample, {"truth": truth, "blurred": blurred})
    floor, untouched = pooled(table, "real"), pooled(table, "untouched")
    assert pooled(table, "truth") < floor + 0.25 * (untouched - floor)
    assert pooled(table, "blurred") > untouched


def test_realism_of_truth_is_the_floor_and_of_leaving_alone_is_not(
    phantom, sample, classifier, truth, monkeypatch
):
    assert frechet(sample, classifier, {"truth": truth}).empty  # there are too few images
    monkeypatch.setitem(realism.FEWEST, "frechet", 5)
    monkeypatch.setattr(realism, "COMPONENTS", 4)
    table = frechet(sample, classifier, {"truth": truth})
    floor, untouched = pooled(table, "real"), pooled(table, "untouched")
    assert pooled(table, "truth") < floor + 0.5 * (untouched - floor)
    assert untouched > 2 * floor
    assert set(table["target"]) == {*phantom.scanners, "all"}


def test_copies_of_training_images_are_found(phantom, sample):
    copies = np.stack(
        [
            phantom.images[phantom.rows("train", [s])[:1]].repeat(len(sample.rows), 0)
            for s in phantom.scanners
        ],
        axis=1,
    )
    table = nearest_training_image(sample, {"copies": copies})
    assert pooled(table, "copies") == pytest.approx(0, abs=0.1)
    assert pooled(table, "real") > 2


@pytest.mark.parametrize("chunk", [2, 512])
def test_nearest_distance_is_that_of_plain_loops(chunk):
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 255, (n, 4, 5), dtype=np.uint8) for n in (3, 9))
    rows = np.array([0, 1, 2, 4, 5, 7, 8])  # of rows 3 and 6, the nearest of all, none is asked
    b[3], b[6] = a[0], a[1]
    near, asked = b[rows].astype(float), a.astype(float)
    plain = [min(np.sqrt(np.mean((x - y) ** 2)) for y in near) for x in asked]
    assert nearest_distance(a, b, rows, chunk=chunk) == pytest.approx(plain, rel=1e-4)


def test_likelihood_adds_up_and_prefers_the_images_it_fits(phantom, generator, rows):
    few = Sample(phantom, rows[:4])
    table, again = (
        likelihood(few, {"g": generator, "blank": untrained(generator)}) for _ in range(2)
    )
    assert table.equals(again)  # drawn alike each time
    parts = [m for m in set(table["measure"]) if m != "bits_per_pixel"]
    assert {"bits_per_pixel_pixels", "bits_per_pixel_kl_8"} <= set(parts)
    total = sum(pooled(table, "g", part) for part in parts)
    assert total == pytest.approx(pooled(table, "g", "bits_per_pixel"))
    for part in generator.hvae.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.9
    dropping = likelihood(few, {"g": generator})
    assert dropping.equals(table[table["images"] == "g"].reset_index(drop=True))


def test_the_probe_finds_the_scanner_where_latents_carry_it(sample, generator, monkeypatch):
    def abduct(self, x, parents):
        told = torch.nn.functional.one_hot(parents["scanner"], 3)[:, :, None, None].float()
        told = told + 0.01 * torch.randn_like(told)
        return ImageNoise((torch.randn(len(x), 5, 4, 4), told.repeat(1, 1, 2, 2)), x)

    torch.manual_seed(0)
    monkeypatch.setattr(type(generator.hvae), "abduct", abduct)
    table = latent_probe(sample, {"g": generator}, 40)
    assert pooled(table, "g", "scanner_in_latents_2") == 1
    assert pooled(table, "g", "scanner_in_latents_4") < 0.6
    assert pooled(table, "shuffled", "scanner_in_latents_2") < 0.6
    assert table["measure"].unique().tolist() == ["scanner_in_latents_4", "scanner_in_latents_2"]


def made_up_latents(n=60, width=20_000):
    """Of which the first tells three scanners apart, and the last is constant."""
    codes = np.arange(n) % 3
    z = np.random.default_rng(0).normal(size=(n, width)).astype(np.float32)
    z[:, 0], z[:, -1] = 30 * codes + z[:, 0], 4.0
    return z, codes


def test_probes_are_those_of_a_regression_on_all_principal_components():
    z, codes = made_up_latents()
    codes = np.where(np.arange(60) % 5, codes, 0)  # not every image is easy
    axes = make_pipeline(StandardScaler(), PCA(svd_solver="full"))
    line = LogisticRegression(C=latent_probing.C, class_weight="balanced", max_iter=300)
    expected = line.fit(axes.fit_transform(z[:40].astype(np.float64)), codes[:40])
    (mine,) = fit_probes(z[:40].copy(), [codes[:40]])
    wanted = expected.decision_function(axes.transform(z.astype(np.float64)))
    np.testing.assert_allclose(mine.decision_function(z), wanted, atol=1e-3)
    told = expected.predict(axes.transform(z.astype(np.float64)))
    np.testing.assert_array_equal(mine.predict(z), told)


def test_probes_need_little_memory_beside_the_latents(monkeypatch):
    monkeypatch.setattr(latent_probing, "_LATENTS_AT_ONCE", 512)
    z, codes = made_up_latents()
    tracemalloc.start()
    fit_probes(z, [codes])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < z.nbytes


def test_noise_is_measured_on_every_scanner_whatever_the_order_of_the_table(phantom, generator):
    table = phantom.table.sort_values("scanner")
    images = phantom.images[table.index]
    by_scanner = replace(phantom, images=images, table=table.reset_index(drop=True))
    quantiles = scanner_noise(by_scanner, generator, 12).quantiles
    untouched = PixelNoise("scanner", generator.hvae.options.pixel_scale, 3).quantiles
    assert (quantiles != untouched).flatten(1).any(dim=1).all()
    assert (quantiles.flatten(1).amax(dim=1) > -2).all()


def test_variants_of_abduction_share_weights_and_differ_in_their_counterfactuals(
    phantom, generator, classifier
):
    few = phantom.rows("val", "pretraining")[:3]
    noise = scanner_noise(phantom, generator, 64)
    variants = {name: variant(generator, it, noise) for name, it in VARIANTS.items()}
    weights = generator.hvae.state_dict()
    for changed in variants.values():
        own_weights = changed.hvae.state_dict()
        assert set(own_weights) - set(weights) <= {"pixel_noise.quantiles"}
        assert all(torch.equal(own_weights[name], weights[name]) for name in weights)
    made = {
        name: all_counterfactuals(phantom, changed, few, BankOptions())
        for name, changed in variants.items()
    }
    for one, other in combinations(made, 2):
        assert (made[one] != made[other]).any(), (one, other)
    x = to_model(phantom.images[few])
    for name, changed in variants.items():  # the null intervention is the image, with any of them
        undone = changed.counterfactual(x, changed.parents.codes(phantom, few), do={})
        off = np.abs(to_images(undone).astype(int) - phantom.images[few])
        if VARIANTS[name].get("pixel_noise") == "scanner":
            # Beyond the outermost quantiles residuals are cut off: of those measured, 1 in 65.
            assert (off > 2).mean() < 2 / 65, name
        else:
            assert off.max() <= 1, name
    asked = QualityOptions(sample=3, calibration_images=64)
    table = abduction(phantom, generator, classifier, asked)
    measured = table.loc[table["measure"] == "reversibility_l1", "n"]
    assert set(measured) == {2 * 3}  # images, each sent to both other scanners
    assert set(table["images"]) == set(VARIANTS)
    expected = {"effectiveness", "reversibility_l1", "gold_error", "gold_spectrum"}
    assert expected <= set(table["measure"])
    assert not table.duplicated(["measure", "images"]).any()
