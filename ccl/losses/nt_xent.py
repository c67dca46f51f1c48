"""NT-Xent, the contrastive loss of SimCLR."""

import torch
from torch import Tensor
from torch.nn import functional


def nt_xent(z_a: Tensor, z_b: Tensor, *, temperature: float) -> Tensor:
    r"""Normalised temperature-scaled cross entropy over the 2N views of N positive pairs.

    With the views z = (z_a, z_b), the cosine similarity s and the temperature tau, the positive
    pair (i, j) costs

    .. math:: l(i, j) = -\log \frac{\exp(s(z_i, z_j) / \tau)}
                                   {\sum_{k \neq i} \exp(s(z_i, z_k) / \tau)}

    and the loss is the mean of l(i, j) over all 2N ordered pairs. Indistinguishable views cost
    log(2N - 1).

    The term k = i is masked out before the softmax. Subtracting exp(1 / tau) afterwards, as some
    implementations do, cancels catastrophically in float32 at temperatures below about 0.07.

    Args:
        z_a: (N, D) embeddings of the first views, N >= 2, any scale.
        z_b: (N, D) embeddings of the second views; row i is the positive of row i of `z_a`.
        temperature: tau > 0.

    Returns:
        Scalar >= 0, in float32, or in float64 for float64 embeddings; half precision and
        autocast do not reach the similarities.

    Raises:
        ValueError: shapes differ or are not (N, D), N < 2 (no negatives), or temperature <= 0.

    Source:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations,
        ICML 2020, equation 1, https://arxiv.org/abs/2002.05709
    """
    if z_a.ndim != 2 or z_a.shape != z_b.shape:
        raise ValueError(
            f"z_a and z_b must both be (N, D), got {tuple(z_a.shape)} and {tuple(z_b.shape)}"
        )
    pairs = len(z_a)
    if pairs < 2:
        raise ValueError(f"NT-Xent contrasts a pair with others and needs N >= 2, got N = {pairs}")
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")

    with torch.autocast(z_a.device.type, enabled=False):
        z = torch.cat([z_a, z_b])  # (2N, D)
        z = functional.normalize(z.to(torch.promote_types(z.dtype, torch.float32)), dim=1)
        similarity = z @ z.T / temperature  # (2N, 2N)
        itself = torch.eye(2 * pairs, dtype=torch.bool, device=z.device)
        similarity = similarity.masked_fill(itself, float("-inf"))
        positive = torch.arange(2 * pairs, device=z.device).roll(pairs)  # i <-> i + N
        return functional.cross_entropy(similarity, positive)
