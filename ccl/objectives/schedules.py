"""Values that change from step to step, as functions of the step alone: resuming is exact."""

import math


def cosine(step: int, total: int, start: float, end: float) -> float:
    """Half a cosine from `start` at step 0 to `end` at step `total` and after."""
    progress = min(1.0, step / max(1, total))
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))


def linear(step: int, total: int, start: float, end: float) -> float:
    """A straight line from `start` at step 0 to `end` at step `total` and after."""
    return end if step >= total else start + (end - start) * step / total
