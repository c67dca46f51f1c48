"""KoLeo: features of a batch are pushed from their nearest neighbours."""

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-8  # distance below which features count as one point


def koleo(features: Tensor) -> Tensor:
    r"""Kozachenko-Leonenko estimate of the negative entropy of features on the unit sphere.

    .. math:: L = -\frac{1}{N} \sum_{i=1}^{N} \log \min_{j \neq i} \|x_i - x_j\|

    over normalised features x. The distance is :math:`\sqrt{\|x_i - x_j\|^2 + \epsilon^2}` with
    :math:`\epsilon = 10^{-8}`: duplicates then cost a finite amount and pull in no direction,
    whereas the root of 0 has no finite gradient.

    Args:
        features: (N, D), any scale. One row alone has no neighbour and costs 0.

    Returns:
        Scalar, in float32, or in float64 for float64 features; negative where neighbours are
        further than 1 apart.

    Raises:
        ValueError: features are not (N, D) with N >= 1.

    Source:
        Sablayrolles et al., Spreading vectors for similarity search, ICLR 2019, equation 1,
        https://arxiv.org/abs/1806.03198; normalised as in Oquab et al., DINOv2, TMLR 2024,
        https://arxiv.org/abs/2304.07193
    """
    if features.ndim != 2 or len(features) == 0:
        raise ValueError(f"features must be (N, D), N >= 1, got {tuple(features.shape)}")
    with torch.autocast(features.device.type, enabled=False):
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        if len(features) == 1:
            return wide.sum() * 0  # a part of the graph, as any other value
        x = functional.normalize(wide, dim=1, eps=EPSILON)
        with torch.no_grad():
            cosine = (x @ x.T).fill_diagonal_(-2)  # (N, N)
            nearest = cosine.argmax(1)  # (N,)
        squared = (x - x[nearest]).square().sum(1)  # (N,)
        return -0.5 * (squared + EPSILON**2).log().mean()
