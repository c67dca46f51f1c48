"""What the page `projections` draws: where the encoders put the test images."""

import numpy as np

from companion.experiments.config import Experiment
from companion.experiments.evaluation import FEATURES_FILE, evaluate


def embeddings(
    experiment: Experiment, objective: str, seed: int, positions: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Features of the test images, float32 (n, D), by strategy; 'random' is the control.

    Of an objective's encoders of one pretraining seed, at some `positions` (n,) among the test
    images, or at all.
    """
    from companion.evaluation import features

    options = experiment.pretraining
    return {
        name.strategy: features.load(evaluate(experiment, name).folder / FEATURES_FILE, positions)
        for name in (*options.encoders, *options.controls)
        if name.objective == objective and name.seed == seed
    }
