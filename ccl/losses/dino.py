"""The DINO loss on class tokens: crops of an image must be assigned to the same prototypes."""

import torch
from torch import Tensor


def dino(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    r"""Cross entropy of the student's crops against the teacher's, over all pairs of crops.

    With the teacher's targets :math:`p_t` for its T global crops and the student's logits
    :math:`l_s` for all S crops, of which the first T are the same global crops,

    .. math:: L = -\frac{1}{T (S - 1)} \sum_{t=1}^{T} \sum_{s \neq t} \frac{1}{N} \sum_{n=1}^{N}
              \sum_k p_{tnk} \log \mathrm{softmax}(l_{sn} / \tau)_k

    A student that tells no prototype apart costs ln K, whatever the targets.

    Args:
        student: (S, N, K) logits, crops of N images to K prototypes.
        teacher: (T, N, K) targets, each summing to 1 over K; no gradient flows to them.
        temperature: tau of the student, > 0.

    Returns:
        Scalar >= 0, in float32, or in float64 for float64 logits.

    Raises:
        ValueError: shapes do not fit, T > S, no pair of different crops, or temperature <= 0.

    Source:
        Caron et al., ICCV 2021, equation 3, https://arxiv.org/abs/2104.14294; Oquab et al.,
        DINOv2, TMLR 2024, section 4, https://arxiv.org/abs/2304.07193
    """
    if student.ndim != 3 or teacher.ndim != 3 or student.shape[1:] != teacher.shape[1:]:
        raise ValueError(
            "student and teacher must be (S, N, K) and (T, N, K), got "
            f"{tuple(student.shape)} and {tuple(teacher.shape)}"
        )
    crops, targets, images = len(student), len(teacher), student.shape[1]
    if not 1 <= targets <= crops or crops < 2:
        raise ValueError(
            f"the teacher's {targets} crops must be the first of the student's {crops}, of which "
            "there must be at least 2"
        )
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")
    with torch.autocast(student.device.type, enabled=False):
        logits = student.to(torch.promote_types(student.dtype, torch.float32))
        likelihood = torch.log_softmax(logits / temperature, dim=2)  # (S, N, K)
        cost = -torch.einsum("tnk,snk->ts", teacher.detach().to(likelihood.dtype), likelihood)
        same = torch.eye(targets, crops, dtype=torch.bool, device=cost.device)
        return cost.masked_fill(same, 0).sum() / (images * targets * (crops - 1))
