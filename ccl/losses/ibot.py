"""The iBOT loss: the student predicts the teacher's assignment of patches that it cannot see."""

import torch
from torch import Tensor


def ibot(student: Tensor, teacher: Tensor, masks: Tensor, *, temperature: float) -> Tensor:
    r"""Cross entropy on masked patches, each image weighing the same however many it has.

    With the masked patches :math:`M_b` of image b,

    .. math:: L = -\frac{1}{B} \sum_{b=1}^{B} \frac{1}{|M_b|} \sum_{m \in M_b}
              \sum_k p_{mk} \log \mathrm{softmax}(l_m / \tau)_k

    Images without masked patches add nothing to the sum and still count in B, as in DINO-v2.

    Args:
        student: (M, K) logits of the masked patches, in the order of `masks.nonzero()`.
        teacher: (M, K) targets of the same patches, from images without masks; each sums to 1 over
            K. No gradient flows to them.
        masks: bool (B, P), true at the M masked patches; M may be 0. Best on the CPU, wherever the
            logits are: of masks on a GPU, the host would have to wait for their number.
        temperature: tau of the student, > 0.

    Returns:
        Scalar >= 0, in float32, or in float64 for float64 logits; 0 if nothing is masked.

    Raises:
        ValueError: shapes do not fit, masks are not bool, or temperature <= 0.

    Source:
        Zhou et al., iBOT, ICLR 2022, equation 2, https://arxiv.org/abs/2111.07832; weights of
        Oquab et al., DINOv2, TMLR 2024, https://arxiv.org/abs/2304.07193
    """
    if student.ndim != 2 or student.shape != teacher.shape:
        raise ValueError(
            "student and teacher must both be (M, K), got "
            f"{tuple(student.shape)} and {tuple(teacher.shape)}"
        )
    if masks.ndim != 2 or masks.dtype != torch.bool:
        raise ValueError(f"masks must be bool (B, P), got {masks.dtype} {tuple(masks.shape)}")
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")
    masked = masks.sum(1)  # (B,)
    weight = torch.repeat_interleave(1 / masked.clamp(min=1), masked)  # (M,)
    if len(weight) != len(student):
        raise ValueError(f"masks have {len(weight)} masked patches, the logits {len(student)} rows")
    weight = weight.to(student.device, non_blocking=True)
    with torch.autocast(student.device.type, enabled=False):
        logits = student.to(torch.promote_types(student.dtype, torch.float32))
        likelihood = torch.log_softmax(logits / temperature, dim=1)  # (M, K)
        cost = -(teacher.detach().to(likelihood.dtype) * likelihood).sum(1)  # (M,)
        return (weight * cost).sum() / len(masks)
