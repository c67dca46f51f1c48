"""NT-Xent as loops over the equation, in float64."""

import math

import numpy as np


def nt_xent(z_a: np.ndarray, z_b: np.ndarray, temperature: float) -> float:
    """Mean over all 2N views i, with partner j, of -log(e^(s_ij/t) / sum_{k != i} e^(s_ik/t)).

    Source: Chen et al. 2020, equation 1.
    """
    views = [*z_a.astype(np.float64), *z_b.astype(np.float64)]
    count, pairs = len(views), len(z_a)
    total = 0.0
    for i in range(count):
        partner = i + pairs if i < pairs else i - pairs
        positive = _cosine(views[i], views[partner]) / temperature
        others = [_cosine(views[i], views[k]) / temperature for k in range(count) if k != i]
        largest = max(others)
        total += largest + math.log(sum(math.exp(o - largest) for o in others)) - positive
    return total / count


def _cosine(u: np.ndarray, v: np.ndarray) -> float:
    dot = sum(float(a) * float(b) for a, b in zip(u, v, strict=True))
    return dot / math.sqrt(sum(float(a) ** 2 for a in u) * sum(float(b) ** 2 for b in v))
