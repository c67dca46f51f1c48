"""Every figure of the book: one function each, from plain arrays and tidy tables to a Figure."""

from ccl.figures.ablation import ablation
from ccl.figures.accuracy import Band, band_label, default_band, gain, label_efficiency
from ccl.figures.cohort import cohort_counts
from ccl.figures.images import image_grid
from ccl.figures.look import STRATEGIES, WIDTH, BookFigure, Mark, marks
from ccl.figures.pairs import cost, pair_similarity
from ccl.figures.projections import palette, projection, scanner_confusion
from ccl.figures.quality import IMAGES, effectiveness, gold_error, overall
from ccl.figures.separability import separability
from ccl.figures.subgroups import domains_with, subgroup_gap
from ccl.figures.training import alignment_uniformity, kl_per_resolution, training_history

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
    "domains_with",
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
]
