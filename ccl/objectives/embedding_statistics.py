"""Numbers that show whether embeddings spread over the sphere or collapse."""

import torch
from torch import Tensor
from torch.nn import functional


@torch.no_grad()
def embedding_statistics(z_a: Tensor, z_b: Tensor) -> dict[str, Tensor]:
    r"""Statistics of N positive pairs on the unit sphere.

    Args:
        z_a: (N, D) embeddings of the first views, any scale.
        z_b: (N, D) embeddings of the second views.

    Returns:
        Scalars:
        - `embedding_std`: standard deviation per dimension, averaged, times sqrt(D); about 1
          when spread evenly, 0 when all embeddings are one point.
        - `effective_rank`: exp of the entropy of the covariance's eigenvalues, in [1, D]; 1 when
          all embeddings lie on a line (Roy & Vetterli 2007).
        - `mean_cosine`: mean cosine similarity of different pairs' first views.
        - `alignment`: mean squared distance of positives, 0 is perfect.
        - `uniformity`: log of the mean of exp(-2 d^2) over different pairs' first views; 0 when
          collapsed, near -4 when uniform in many dimensions.

    Source:
        Wang & Isola, Understanding Contrastive Representation Learning through Alignment and
        Uniformity on the Hypersphere, ICML 2020, https://arxiv.org/abs/2005.10242
    """
    a, b = (functional.normalize(z.float(), dim=1) for z in (z_a, z_b))  # (N, D)
    pairs, dimensions = a.shape
    cosine = a @ a.T  # (N, N)
    # All off-diagonal terms: the sum over everything less the diagonal's N ones.
    others = pairs * (pairs - 1)
    potential = torch.exp(-2 * (2 - 2 * cosine).clamp(min=0)).fill_diagonal_(0)
    return {
        "embedding_std": a.std(0).mean() * dimensions**0.5,
        "effective_rank": effective_rank(a),
        "mean_cosine": cosine.fill_diagonal_(0).sum() / others,
        "alignment": (a - b).square().sum(1).mean(),
        "uniformity": (potential.sum() / others).log(),
    }


def effective_rank(z: Tensor) -> Tensor:
    """exp of the entropy of the eigenvalues of the covariance of z (N, D); 1 if it is 0."""
    centred = z - z.mean(0)
    eigenvalues = torch.linalg.eigvalsh(centred.T @ centred).clamp(min=0)  # (D,)
    total = eigenvalues.sum()
    if total <= 1e-9 * len(z):  # one point, up to rounding
        return torch.ones_like(total)
    share = eigenvalues / total
    return torch.special.entr(share).sum().exp()
