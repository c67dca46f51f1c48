"""The pair maker: batches of test patients' pairs, what encoders find alike, NT-Xent's terms."""

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
from companion.book.projections import sprite, thumbnails
from companion.book.widgets import widget_html
from companion.cohorts.cohort import Cohort, evenly
from companion.experiments.config import EncoderName, Experiment
from companion.experiments.pretraining import encoder_of, pairs_by_strategy

SEED = 0  # of target domains and views
POOL = 24  # test patients that batches are drawn from
BATCH = 8  # pairs, as in pair_maker.js


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
    augmentation, temperature = options.simclr.augment, options.simclr.temperature
    views = {name: _views(each, rows, augmentation) for name, each in pairs.items()}
    patients = [str(patient)[-6:] for patient in cohort.table["patient_id"].iloc[rows]]
    scanners = cohort.table["scanner"].iloc[rows]
    facts = [f"{p}, {s}" for p, s in zip(patients, scanners, strict=True)]
    facts += [f"partner of {patient}" for patient in patients]
    found = {
        name: {strategy: similarities(encoder, some) for strategy, some in views.items()}
        for name, encoder in encoders.items()
    }
    images = {name: _grey(some) for name, some in views.items()}
    return pair_maker_html(images, facts, found, temperature, options.initial_weights)


def pair_maker_html(
    images: Mapping[str, np.ndarray],
    facts: list[str],
    alike: Mapping[str, Mapping[str, np.ndarray]],
    temperature: float,
    initial: Initial = NOTHING_SAID,
) -> str:
    """A batch of eight pairs, their similarities and each term of NT-Xent, as HTML.

    Args:
        images: strategy to the views of a pool of n pairs, uint8 (2n, H, W): the n first, then
            their partners.
        facts: what to say of each of the 2n.
        alike: strategy that an encoder was trained with to what it finds alike: cosine
            similarities of the views of each strategy, (2n, 2n).
        temperature: tau to begin with.
        initial: what the encoders start from, `PretrainingOptions.initial_weights`.

    Returns:
        An HTML fragment; several may stand on one page.
    """
    look = marks("simclr", initial)
    every = thumbnails(np.concatenate(list(images.values())))
    encoders = [
        {
            "name": name,
            "label": look[name].label,
            "similarities": {
                strategy: np.round(1000 * values).astype(int).ravel().tolist()
                for strategy, values in found.items()
            },
        }
        for name, found in alike.items()
    ]
    data = {
        **sprite(every),
        "pool": len(facts) // 2,
        "temperature": temperature,
        "offsets": {name: i * len(facts) for i, name in enumerate(images)},
        "facts": facts,
        "strategies": [{"name": name, "label": look[name].label} for name in images],
        "encoders": encoders,
    }
    return widget_html("pair_maker", data)


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
