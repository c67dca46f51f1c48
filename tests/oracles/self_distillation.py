"""DINO, iBOT, KoLeo and Sinkhorn-Knopp as loops over their equations, in float64."""

import math

import numpy as np


def log_softmax(logits: np.ndarray, temperature: float) -> list[float]:
    """log(e^(l_k / t) / sum_j e^(l_j / t))."""
    scaled = [float(logit) / temperature for logit in logits]
    largest = max(scaled)
    normaliser = largest + math.log(sum(math.exp(s - largest) for s in scaled))
    return [s - normaliser for s in scaled]


def cross_entropy(target: np.ndarray, logits: np.ndarray, temperature: float) -> float:
    """-sum_k p_k log softmax(l / t)_k."""
    likelihood = log_softmax(logits, temperature)
    return -sum(float(p) * q for p, q in zip(target, likelihood, strict=True))


def dino(student: np.ndarray, teacher: np.ndarray, temperature: float) -> float:
    """Mean over images of the cross entropy of every crop against every other global crop's target.

    Source: Caron et al. 2021, equation 3.
    """
    costs = []
    for t in range(len(teacher)):
        for s in range(len(student)):
            if s != t:
                for image in range(student.shape[1]):
                    costs.append(cross_entropy(teacher[t, image], student[s, image], temperature))
    return sum(costs) / len(costs)


def ibot(student: np.ndarray, teacher: np.ndarray, masks: np.ndarray, temperature: float) -> float:
    """Mean over images of the mean over their masked patches; 0 for an image without any."""
    total, row = 0.0, 0
    for image in masks:
        masked = int(image.sum())
        for _ in range(masked):
            total += cross_entropy(teacher[row], student[row], temperature) / masked
            row += 1
    return total / len(masks)


def koleo(features: np.ndarray) -> float:
    """-mean of log of the distance to the nearest other point of the unit sphere."""
    points = [f / math.sqrt(sum(float(x) ** 2 for x in f)) for f in features.astype(np.float64)]
    total = 0.0
    for i, point in enumerate(points):
        distances = [math.dist(point, other) for j, other in enumerate(points) if j != i]
        total -= math.log(min(distances))
    return total / len(points)


def sinkhorn_knopp(logits: np.ndarray, temperature: float, iterations: int) -> np.ndarray:
    """Line by line as DINO-v2's `sinkhorn_knopp_teacher`: rows are prototypes there."""
    q = np.exp(logits.astype(np.float64) / temperature).T  # (K, B)
    prototypes, samples = q.shape
    q = q / q.sum()
    for _ in range(iterations):
        q = q / q.sum(1, keepdims=True) / prototypes
        q = q / q.sum(0, keepdims=True) / samples
    return (q * samples).T
