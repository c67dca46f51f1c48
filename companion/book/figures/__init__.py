"""Every figure of the book: one function each, from plain arrays and tidy tables to a Figure."""

from companion.book.figures.ablation import ablation
from companion.book.figures.accuracy import Band, band_label, default_band, gain, label_efficiency
from companion.book.figures.cohort import cohort_counts
from companion.book.figures.convergence import training_length, validation
from companion.book.figures.images import image_grid
from companion.book.figures.look import STRATEGIES, WIDTH, BookFigure, Mark, marks
from companion.book.figures.pairs import cost, pair_similarity
from companion.book.figures.projections import palette, projection, scanner_confusion
from companion.book.figures.quality import IMAGES, effectiveness, gold_error, overall
from companion.book.figures.separability import separability
from companion.book.figures.subgroups import subgroup_gap
from companion.book.figures.training import (
    alignment_uniformity,
    kl_per_resolution,
    training_history,
)

__all__ = [
    "IMAGES",
    "STRATEGIES",
    "WIDTH",
    "Band",
    "BookFigure",
    "Mark",
    "ablation",
    "alignment_uniformity",
    "band_label",
    "cohort_counts",
    "cost",
    "default_band",
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
