"""Values that change from step to step, as functions of the step alone: resuming is exact."""

import math
from typing import Literal

Decline = Literal["cosine", "none"]


def cosine(step: int, total: int, start: float, end: float) -> float:
    """Half a cosine from `start` at step 0 to `end` at step `total` and after."""
    progress = min(1.0, step / max(1, total))
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))


def linear(step: int, total: int, start: float, end: float) -> float:
    """A straight line from `start` at step 0 to `end` at step `total` and after."""
    return end if step >= total else start + (end - start) * step / total


def warmup_cosine(step: int, warmup: int, total: int, decline: Decline = "cosine") -> float:
    """Learning rate as a share of its peak: linear up to 1 in `warmup` steps, then half a cosine.

    Step 0 already has 1 / warmup, step `warmup` the peak, and step `total` would have 0; decline
    'none' stays at 1 after the warm-up.
    """
    if step < warmup:
        return (step + 1) / warmup
    return 1.0 if decline == "none" else cosine(step - warmup, total - warmup, 1.0, 0.0)
