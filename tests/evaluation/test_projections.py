"""Maps keep what is apart apart, are the same for the same seed, and start alike."""

import numpy as np
import pytest

from companion.evaluation import projections
from companion.evaluation.projections import common_layout, project

N = 120
CODES = np.repeat([0, 1, 2], N // 3)


def clustered(distance: float, dimensions: int = 20, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(N, dimensions))
    features[:, :3] += distance * np.eye(3)[CODES]
    return features


def purity(xy: np.ndarray) -> float:
    """Share of images whose nearest neighbour on the map is of the same kind."""
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    return float((CODES[distance.argmin(axis=1)] == CODES).mean())


def test_clusters_are_seen_and_noise_is_not() -> None:
    maps = project({"apart": clustered(30), "noise": clustered(0)}, seed=1)
    assert purity(maps["apart"]) == 1
    assert purity(maps["noise"]) < 0.6


def test_the_same_seed_draws_the_same_map() -> None:
    features = {"a": clustered(3), "b": clustered(1, dimensions=5)}
    once, again = (project(features, seed=2) for _ in range(2))
    for name in features:
        np.testing.assert_array_equal(once[name], again[name])


def test_every_map_starts_from_the_common_layout(monkeypatch) -> None:
    starts = []

    def spy(reduced, layout, seed, threads):
        starts.append(layout)
        return layout

    monkeypatch.setattr(projections, "_embedded", spy)
    project({"a": clustered(3), "b": clustered(1, dimensions=5)})
    np.testing.assert_array_equal(*starts)
    assert starts[0].std() < 1e-3


def test_no_encoder_outweighs_another_in_the_layout() -> None:
    """A thousandfold scale changes nothing: features are brought to one spread before."""
    a, b = clustered(5, seed=1), clustered(0, seed=2)
    layouts = [
        common_layout([projections._components(each, 0) for each in (scale * a, b)], 0)
        for scale in (1.0, 1000.0)
    ]
    np.testing.assert_allclose(*layouts, atol=1e-7)


@pytest.mark.parametrize(
    "features", [{}, {"a": np.zeros((3, 2))}, {"a": clustered(0), "b": clustered(0)[1:]}]
)
def test_what_cannot_be_compared_is_refused(features) -> None:
    with pytest.raises(ValueError, match="the same images, at least 4"):
        project(features)
