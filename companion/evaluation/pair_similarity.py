"""How alike an encoder finds the two views of a pair, before and after training."""

import numpy as np
import torch

from ccl.devices import device_of
from ccl.encoders.encoder import Encoder
from ccl.pairs import Pairs
from ccl.seeding import step_generator
from ccl.views.augment import augment
from ccl.views.options import AugmentOptions
from companion.evaluation.statistics import mean_with_interval

BATCH_SIZE = 128  # views per pass


@torch.inference_mode()
def pair_similarity(
    encoder: Encoder,
    pairs: Pairs,
    rows: np.ndarray,
    patients: np.ndarray,
    augmentation: AugmentOptions,
    *,
    seed: int = 0,
) -> dict[str, float]:
    """Cosine similarity of the features of two augmented views of a pair.

    Features of any images point in much the same direction, so their mean is taken off first:
    views of different images are then at 0 on average, the same view twice is at 1.

    Args:
        encoder: used in evaluation mode, on the device it is on.
        pairs, augmentation: where the views of a pair are cut from, and how.
        rows, patients: (n,) images that the encoder was not trained on, and whose they are.
        seed: of target domains and views; the same for every encoder.

    Returns:
        `value` with `ci_low` and `ci_high` (95 %, patient-level bootstrap), and `n`.
    """
    first, second = pairs.sources(rows, np.random.default_rng(seed))
    pixels = torch.from_numpy(np.concatenate([first, second])).to(device_of(encoder))
    views = augment(pixels, augmentation, step_generator(seed, 0, "pair similarity"))
    chunks = views.split(BATCH_SIZE)  # images
    features = torch.cat([encoder.eval()(chunk).float() for chunk in chunks])
    a, b = torch.nn.functional.normalize(features - features.mean(dim=0), dim=1).chunk(2)
    similarity = (a * b).sum(dim=1).cpu().numpy().astype(np.float64)
    return mean_with_interval(similarity, patients)
