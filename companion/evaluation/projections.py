"""t-SNE of test embeddings: pictures beside the measures of `companion.evaluation.separability`.

t-SNE keeps neighbours together and little else: distances between clusters, their sizes and their
places mean nothing. The encoders' maps therefore start from one common layout, so that what differs
between them is not chance; and no map decides anything.
"""

from collections.abc import Mapping

import numpy as np
import openTSNE
from sklearn.decomposition import PCA

COMPONENTS = 50  # principal components that neighbours are looked for in
PERPLEXITY = 30.0


def project(
    features: Mapping[str, np.ndarray], *, seed: int = 0, threads: int = 1
) -> dict[str, np.ndarray]:
    """Two-dimensional maps of the same images under several encoders, from one common layout.

    Args:
        features: name of each encoder to its features, float (n, D); D may differ.
        seed: of principal components and t-SNE.
        threads: of the machine; more than one is faster and may move the last digits.

    Returns:
        Name to float64 (n, 2), in the order of the encoders.

    Raises:
        ValueError: no encoder, other numbers of images, or too few of them.

    Source:
        van der Maaten & Hinton, Visualizing Data using t-SNE, JMLR 2008; Kobak & Berens, The art of
        using t-SNE for single-cell transcriptomics, 2019, https://doi.org/10.1038/s41467-019-13056-x
        (principal components first, and as the layout to start from).
    """
    counts = {name: len(each) for name, each in features.items()}
    n = min(counts.values(), default=0)
    if n < 4 or len(set(counts.values())) > 1:
        raise ValueError(f"t-SNE needs the same images, at least 4, of every encoder; got {counts}")
    reduced = {name: _components(each, seed) for name, each in features.items()}
    layout = common_layout(list(reduced.values()), seed)
    return {name: _embedded(each, layout, seed, threads) for name, each in reduced.items()}


def common_layout(reduced: list[np.ndarray], seed: int) -> np.ndarray:
    """Where every map starts, (n, 2): what the encoders share, as two components of them all.

    The features (n, c) of each are of unit total variance, so that none outweighs another. The
    layout is small, as t-SNE's first steps need it.
    """
    shared = PCA(2, random_state=seed).fit_transform(np.concatenate(reduced, axis=1))
    return 1e-4 * shared / shared[:, 0].std()


def _components(features: np.ndarray, seed: int) -> np.ndarray:
    """Leading principal components, of unit total variance."""
    count = min(COMPONENTS, *features.shape)
    components = PCA(count, random_state=seed).fit_transform(features.astype(np.float32))
    spread = np.sqrt(components.var(axis=0).sum())
    return (components / max(spread, 1e-12)).astype(np.float64)


def _embedded(reduced: np.ndarray, layout: np.ndarray, seed: int, threads: int) -> np.ndarray:
    model = openTSNE.TSNE(
        perplexity=min(PERPLEXITY, (len(reduced) - 1) / 3),
        initialization=layout.copy(),
        n_jobs=threads,
        random_state=seed,
    )
    return np.asarray(model.fit(reduced))
