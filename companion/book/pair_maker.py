"""The pair maker of an experiment: views of test patients, and what its encoders find alike."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ccl.devices import device_of
from ccl.encoders.encoder import Encoder
from ccl.pairs import Pairs
from ccl.seeding import step_generator
from ccl.views.augment import AugmentOptions, augment
from companion.book.figures.look import NOTHING_SAID, Initial, marks
from companion.book.widgets.pair_maker import BATCH, Compared, Views, pair_maker_html
from companion.cohorts.cohort import Cohort, evenly
from companion.experiments.config import EncoderName, Experiment
from companion.experiments.pretraining import encoder_of, pairs_by_strategy

SEED = 0  # of target domains and views


POOL = 24  # test patients that batches are drawn from


def pair_maker_page(experiment: Experiment, cohort: Cohort) -> str:
    """The pair maker of an experiment's SimCLR encoders, of the first seed; '' without any.

    Args:
        experiment: of finished encoders.
        cohort: the experiment's.
    """
    options = experiment.pretraining
    rows = evenly(cohort.rows("test", "pretraining"), POOL)
    if not options.strategies.get("simclr") or len(rows) < BATCH:
        return ""
    pairs = pairs_by_strategy(experiment, "simclr")
    encoders = {
        of: encoder_of(experiment, cohort, EncoderName("simclr", of, options.seeds[0]))
        for of in (*pairs, options.start("simclr"))
    }
    views, temperature = options.simclr.augment, options.simclr.temperature
    return of_encoders(cohort, pairs, encoders, rows, views, temperature, options.initial_weights)


def of_encoders(
    cohort: Cohort,
    pairs: Mapping[str, Pairs],
    encoders: Mapping[str, Encoder],
    rows: np.ndarray,
    augmentation: AugmentOptions,
    temperature: float,
    initial: Initial = NOTHING_SAID,
) -> str:
    """The pair maker as HTML (`companion.book.widgets.pair_maker`).

    Args:
        cohort: of the rows.
        pairs: strategy to its pairs.
        encoders: strategy that each was trained with to the encoder, in evaluation mode.
        rows: (n,) rows of the pool, n >= 8.
        augmentation: how views are cut.
        temperature: tau of the profile.
        initial: what the encoders start from, `PretrainingOptions.initial_weights`.
    """
    named = marks("simclr", initial)
    pixels = {strategy: _views(each, rows, augmentation) for strategy, each in pairs.items()}
    scanners = [str(scanner) for scanner in cohort.table["scanner"].iloc[rows]]
    patients = [str(patient) for patient in cohort.table["patient_id"].iloc[rows]]
    facts = [f"{p[-6:]}, {s}" for p, s in zip(patients, scanners, strict=True)]
    partners = [f"partner of {p[-6:]}" for p in patients]
    views = {
        strategy: Views(named[strategy].label, _grey(some), [*facts, *partners])
        for strategy, some in pixels.items()
    }
    compared = {
        name: Compared(
            named[name].label,
            {strategy: similarities(encoder, some) for strategy, some in pixels.items()},
        )
        for name, encoder in encoders.items()
    }
    return pair_maker_html(views, compared, temperature)


def _views(pairs: Pairs, rows: np.ndarray, augmentation: AugmentOptions) -> Tensor:
    """Views (2n, 1, H, W): the first of each pair, then their partners."""
    both = np.concatenate(pairs.sources(rows, np.random.default_rng(SEED)))
    return augment(torch.from_numpy(both), augmentation, step_generator(SEED, 0, "pair maker"))


def _grey(views: Tensor) -> np.ndarray:
    return (255 * views[:, 0]).round().clamp(0, 255).to(torch.uint8).numpy()


@torch.inference_mode()
def similarities(encoder: Encoder, views: Tensor) -> np.ndarray:
    """Cosine similarities (2n, 2n) of the features of views, less their mean."""
    features = encoder.eval()(views.to(device_of(encoder))).float()
    unit = torch.nn.functional.normalize(features - features.mean(dim=0), dim=1)
    return (unit @ unit.T).cpu().numpy()
