"""The card that stands for the book where its address is shared: `book/style/card.png`."""

import io
import tempfile
from pathlib import Path

import numpy as np

from companion.book.figures.canvas import new_figure
from companion.book.figures.look import style
from companion.cohorts.cohort import Cohort
from companion.cohorts.simulation.phantom import build
from companion.cohorts.simulation.phantom_chest import PhantomChestOptions
from companion.cohorts.truths import true_counterfactual

INCHES, DPI = (6.0, 3.15), 200  # 1200 x 630 pixels
NIGHT, LIGHT, GREEN = "#10202e", "#e4e7eb", "#3ddc97"
TITLE = "Counterfactual contrastive learning"
WORDS = "One patient, three scanners, one embedding: to read, run and explore"


def card() -> bytes:
    """One simulated patient on three scanners, and the book's name: PNG of 1200 x 630 pixels."""
    options = PhantomChestOptions(size=128, n_train=10, n_val=4, n_test_per_scanner=2)
    with tempfile.TemporaryDirectory() as folder:
        build(options, Path(folder) / "cohort")
        cohort = Cohort.load(Path(folder) / "cohort")
        images = {
            scanner: true_counterfactual(cohort, np.array([0]), {"scanner": scanner})[0]
            for scanner in cohort.scanners
        }
    buffer = io.BytesIO()
    with style():
        figure = new_figure(INCHES[1], INCHES[0])
        figure.set_layout_engine("none")
        for i, (scanner, image) in enumerate(images.items()):
            axes = figure.add_axes((0.05 + 0.305 * i, 0.36, 0.29, 0.5524))
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
            axes.set_axis_off()
            name = f"do(scanner = {scanner})"
            figure.text(0.195 + 0.305 * i, 0.93, name, color=GREEN, ha="center", fontsize=8)
        figure.text(0.05, 0.2, TITLE, color=LIGHT, fontsize=17.5, weight="bold")
        figure.text(0.05, 0.09, WORDS, color=LIGHT, fontsize=10)
        figure.savefig(buffer, format="png", facecolor=NIGHT, dpi=DPI)
    return buffer.getvalue()
