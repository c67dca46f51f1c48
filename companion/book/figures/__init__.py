"""Every figure of the book: one function each, from plain arrays and tidy tables to a Figure."""

from companion.book.figures.accuracy import gain, label_efficiency, subgroup_gap
from companion.book.figures.features import (
    pair_similarity,
    palette,
    projection,
    scanner_confusion,
    separability,
)
from companion.book.figures.images import cohort_counts, image_grid
from companion.book.figures.look import STRATEGIES, marks
from companion.book.figures.quality import IMAGES, ablation, effectiveness, gold_error, overall
from companion.book.figures.training import (
    cost,
    kl_per_resolution,
    training_history,
    training_length,
    validation,
)

__all__ = [
    "IMAGES",
    "STRATEGIES",
    "ablation",
    "cohort_counts",
    "cost",
    "effectiveness",
    "gain",
    "gold_error",
    "image_grid",
    "kl_per_resolution",
    "label_efficiency",
    "marks",
    "overall",
    "pair_similarity",
    "palette",
    "projection",
    "scanner_confusion",
    "separability",
    "subgroup_gap",
    "training_history",
    "training_length",
    "validation",
]
