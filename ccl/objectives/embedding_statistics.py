"""Numbers that show whether embeddings spread over the sphere or collapse."""

import torch
from torch import Tensor
from torch.nn import functional

RANK_EVERY = 50  # steps; a GPU's host waits for a decomposition


@torch.no_grad()
def embedding_statistics(z_a: Tensor, z_b: Tensor, *, step: int = 0) -> dict[str, Tensor]:
    r"""Statistics of N positive pairs on the unit sphere.

    Args:
        z_a: (N, D) embeddings of the first views, any scale.
        z_b: (N, D) embeddings of the second views.
        step: of the epoch, from 0; only every `RANK_EVERY`-th has an effective rank.

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
    rank = {} if step % RANK_EVERY else {"effective_rank": effective_rank(a)}
    return rank | {
        "embedding_std": a.std(0).mean() * dimensions**0.5,
        "mean_cosine": cosine.fill_diagonal_(0).sum() / others,
        "alignment": (a - b).square().sum(1).mean(),
        "uniformity": (potential.sum() / others).log(),
    }


def effective_rank(z: Tensor) -> Tensor:
    """exp of the entropy of the eigenvalues of the covariance of z (N, D); 1 if it is 0.

    They are those of the products of all rows or of all columns, of which the fewer are taken: what
    the others have more is 0.
    """
    centred = z - z.mean(0)
    products = centred @ centred.T if len(z) < z.shape[1] else centred.T @ centred
    total = products.trace()
    eigenvalues = torch.linalg.eigvalsh(products.nan_to_num()).clamp(min=0)  # (min(N, D),)
    rank = torch.special.entr(eigenvalues / total).sum().exp()
    return torch.where(total <= 1e-9 * len(z), 1.0, rank)  # one point, up to rounding
