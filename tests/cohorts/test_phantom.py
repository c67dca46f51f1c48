"""The machinery that the phantoms share, and that it left the chest's images as they were."""

import hashlib

import numpy as np
import pytest

from companion.cohorts.cohort import Cohort
from companion.cohorts.registry import build
from companion.cohorts.simulation.phantom_breast import PhantomBreastOptions
from companion.cohorts.simulation.phantom_chest import PhantomChestOptions
from companion.cohorts.simulation.scanner_shares import ScannerShares
from companion.cohorts.truths import has_truth, true_counterfactual

# Of the cohort below before the machinery was taken out of phantom_chest: SHA-256 of the table as
# CSV, and mean grey levels of 12 images. Not of all bytes: another processor may round otherwise.
TABLE = "4e42099e857b14d71ae033e7a0b02868f1f7a704ed2beb51a971cceba4bcd004"
MEANS = (
    131.28,
    118.60,
    135.14,
    137.03,
    121.66,
    174.83,
    140.39,
    107.05,
    180.93,
    171.39,
    121.37,
    136.22,
)


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    options = PhantomChestOptions(size=32, n_train=60, n_val=30, n_test_per_scanner=12)
    return build(options, None, tmp_path_factory.mktemp("chest") / "cohort")


def test_the_chest_s_table_is_what_it_was(chest: Cohort) -> None:
    text = chest.table.to_csv(index=False, lineterminator="\n")
    assert hashlib.sha256(text.encode()).hexdigest() == TABLE


def test_the_chest_s_images_are_what_they_were(chest: Cohort) -> None:
    np.testing.assert_allclose(chest.images[::13].mean((1, 2)), MEANS, atol=0.05)


@pytest.mark.parametrize("options", [PhantomChestOptions(), PhantomBreastOptions()], ids=["c", "b"])
def test_scanners_are_dealt_as_promised(options: ScannerShares) -> None:
    train = options.deal("train", 1000)
    for start in (0, 500):  # every stretch has the shares
        stretch = train[start : start + 500]
        for name, share in options.shares.items():
            assert stretch.count(name) == pytest.approx(500 * share, abs=2.5)
    n = len(options.scanners)
    assert options.deal("val", 2 * n) == [*options.scanners] * 2
    assert set(options.every_scanner) == {*options.scanners, *options.held_out_scanners}
    assert options.deal("test", len(options.every_scanner)) == [*options.every_scanner]


def test_real_cohorts_know_no_truth(chest: Cohort) -> None:
    real = Cohort(
        chest.folder,
        {**chest.info, "source": "nih", "source_options": {}},
        chest.images,
        chest.table,
    )
    assert has_truth(chest)
    assert not has_truth(real)
    with pytest.raises(LookupError, match="not simulated"):
        true_counterfactual(real, np.array([0]), {})
