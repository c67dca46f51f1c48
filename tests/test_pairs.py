from types import SimpleNamespace

import numpy as np
import pytest

from ccl.pairs import Pairs

DOMAINS = 3


@pytest.fixture
def images():
    """Ten images whose pixels all say 10 * row."""
    return np.broadcast_to((10 * np.arange(10, dtype=np.uint8))[:, None, None], (10, 4, 6)).copy()


@pytest.fixture
def own():
    """The domain of each row."""
    return np.arange(10) % DOMAINS


@pytest.fixture
def bank(images, own):
    """Counterfactuals say 10 * row + 1 + domain; the own domain is the real image."""
    rows = np.array([7, 1, 2, 3, 4, 5, 6])  # not in the cohort's order, rows 0, 8, 9 absent
    counterfactuals = images[rows][:, None] + np.arange(1, DOMAINS + 1, dtype=np.uint8).reshape(
        1, -1, 1, 1
    )
    counterfactuals[np.arange(len(rows)), own[rows]] = images[rows]
    position = np.full(len(images), -1)
    position[rows] = np.arange(len(rows))
    return SimpleNamespace(images=counterfactuals, position=position)


ROWS = np.array([1, 4, 7, 2])


def labels(sources):
    """The one value that each source's pixels have."""
    assert all(len(np.unique(source)) == 1 for source in sources)
    return sources[:, 0, 0].astype(int)


def test_standard_takes_both_views_from_the_real_image_and_needs_no_bank(images):
    a, b = Pairs("standard", images).sources(ROWS, np.random.default_rng(0))
    np.testing.assert_array_equal(a, images[ROWS])
    np.testing.assert_array_equal(b, images[ROWS])


def test_counterfactual_pairs_the_real_image_with_its_own_counterfactuals(images, bank):
    pairs = Pairs("counterfactual", images, bank)
    for seed in range(20):
        a, b = pairs.sources(ROWS, np.random.default_rng(seed))
        np.testing.assert_array_equal(a, images[ROWS])
        np.testing.assert_array_equal(labels(b) // 10, ROWS)


@pytest.mark.parametrize("strategy", ["plus", "counterfactual"])
def test_domains_are_uniform_and_the_own_one_is_the_real_image(images, bank, own, strategy):
    for row in ROWS:
        rows = np.full(10_000, row)
        _, b = Pairs(strategy, images, bank).sources(rows, np.random.default_rng(0))
        kinds, counts = np.unique(b[:, 0, 0] % 10, return_counts=True)
        assert set(kinds) == {0} | {1 + k for k in range(DOMAINS) if k != own[row]}
        np.testing.assert_allclose(counts / len(rows), 1 / DOMAINS, atol=0.02)


def test_plus_never_pairs_across_domains(images, bank):
    rows = np.tile(ROWS, 100)
    a, b = Pairs("plus", images, bank).sources(rows, np.random.default_rng(0))
    np.testing.assert_array_equal(a, b)
    assert len(np.unique(labels(a) % 10)) > 1  # though it trains on all of them


def test_draws_depend_on_the_generator_only(images, bank):
    pairs = Pairs("counterfactual", images, bank)
    once, again = (pairs.sources(ROWS, np.random.default_rng(3))[1] for _ in range(2))
    np.testing.assert_array_equal(once, again)


@pytest.mark.parametrize("strategy", ["plus", "counterfactual"])
def test_missing_bank_is_refused(images, strategy):
    with pytest.raises(ValueError, match=f"'{strategy}' needs a counterfactual bank"):
        Pairs(strategy, images)
    with pytest.raises(ValueError, match="'oracle' is unknown"):
        Pairs("oracle", images)


def test_row_without_entry_is_named(images, bank):
    with pytest.raises(LookupError, match="row 8 "):
        Pairs("plus", images, bank).sources(np.array([1, 8]), np.random.default_rng(0))


def test_bank_of_another_frame_or_cohort_is_refused(images, bank):
    with pytest.raises(ValueError, match="does not fit"):
        Pairs("plus", images[:, :3], bank)
    with pytest.raises(ValueError, match="does not fit"):
        Pairs("plus", images[:5], bank)
