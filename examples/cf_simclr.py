"""Counterfactual contrastive learning on one screen: generator, pairs, SimCLR, probe.

Scanners A and B take made-up images of a shadow; the finding is a long one. B is rare, paler and
noisier. Prints the AUC of the finding on each after SimCLR and after CF-SimCLR, from few labels.
Two minutes: the encoders are still learning, and one seed decides nothing."""

import numpy as np
import torch

from ccl.encoders.encoder import build_encoder
from ccl.encoders.options import EncoderOptions
from ccl.generator.generator import counterfactuals
from ccl.generator.graph import image_parents
from ccl.generator.hvae_options import HVAEOptions, Stage
from ccl.generator.images import ImageArrays
from ccl.generator.options import GeneratorOptions
from ccl.generator.training import train
from ccl.objectives.batches import PairBatches
from ccl.objectives.simclr import SimCLR
from ccl.objectives.simclr_options import SimCLROptions
from ccl.pairs import Bank, Pairs
from ccl.trainer import fit
from ccl.views.augment import AugmentOptions
from ccl.views.batch import as_image

STAGES = tuple(
    Stage(resolution=size, width=width, encoder_blocks=1, decoder_blocks=1, latent_channels=latent)
    for size, width, latent in ((16, 32, 2), (4, 64, 8), (1, 64, 16))
)
LIKELIHOOD = {"pixel_scale": 0.1, "pixel_map": "line", "pixel_noise": "scanner"}
HVAE = HVAEOptions(stages=STAGES, unshuffle=2, bottleneck=0.5, abduct="noise", **LIKELIHOOD)
GENERATOR = GeneratorOptions(hvae=HVAE, epochs=6, learning_rate=2e-3, ema_decay=0.99)
VIEWS = AugmentOptions(crop_scale=(0.7, 0.99), rotation_degrees=10, erase_probability=0)
SIMCLR = SimCLROptions(epochs=16, learning_rate=2e-3, batch_size=64, augment=VIEWS)


def radiographs(n: int, rare: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Images uint8 (n, 32, 32), their scanners (n,), 0 = A or 1 = B, and findings (n,)."""
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    scanner, finding = (rng.random((2, n)) < [[rare], [0.5]]).astype(int)
    cx, cy = rng.uniform(-0.3, 0.3, (2, n, 1, 1))
    angle, size = rng.uniform(0, np.pi, (n, 1, 1)), rng.uniform(0.3, 0.45, (n, 1, 1))
    along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
    across = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
    longer = 1 + 0.35 * finding[:, None, None]
    grey = 0.1 + 0.6 / (1 + np.exp(14 * (np.hypot(along / longer, across * longer) - size)))
    noise = rng.normal(size=(n, 32, 32))
    taken = np.stack([grey + 0.01 * noise, 0.45 + 0.4 * np.sqrt(grey) + 0.05 * noise])
    return [(255 * taken[scanner, range(n)].clip(0, 1)).astype(np.uint8), scanner, finding]


def auc(score: torch.Tensor, truth: np.ndarray) -> float:
    """Area under the ROC curve."""
    return (score[truth == 1][:, None] > score[truth == 0]).float().mean().item()


rng, rows, few = np.random.default_rng(0), np.arange(1600), slice(160)
images, scanner, finding = radiographs(1600, 0.15, rng)
unseen, unseen_scanner, unseen_finding = radiographs(2000, 0.5, rng)
# 1. A causal generator of the image given its scanner, from images that are not paired.
source = ImageArrays(images, {"scanner": (("A", "B"), scanner)})
parents = image_parents(source, rows, {"scanner": (), "image": ("scanner",)})
generator, _ = train(source, rows, parents, GENERATOR)
# 2. Abduction, action, prediction: every image on every scanner.
bank = Bank(counterfactuals(generator, source, rows, "scanner"), position=rows)
for strategy in ("standard", "counterfactual"):
    torch.manual_seed(0)
    # 3. SimCLR, on two views of an image or of an image and its counterfactual.
    batches = PairBatches(Pairs(strategy, images, bank), rows, batch_size=64, seed=0)
    encoder = build_encoder(EncoderOptions(pretrained="leaves"), images.shape[1:])
    simclr = SimCLR(encoder, SIMCLR, seed=0, steps_per_epoch=len(batches))
    fit(simclr, batches, epochs=SIMCLR.epochs, folder=None, seed=0)
    # 4. A linear probe (ridge regression) of the frozen features.
    with torch.inference_mode():
        z, test = (encoder.eval()(as_image(torch.from_numpy(x))) for x in (images[few], unseen))
    z, test = ((x - z.mean(0)) / (z.std(0) + 1e-6) for x in (z, test))
    label = torch.from_numpy(2 * finding[few] - 1).float()
    score = test @ torch.linalg.solve(z.T @ z + 16 * torch.eye(z.shape[1]), z.T @ label)
    a, b = (auc(score[unseen_scanner == k], unseen_finding[unseen_scanner == k]) for k in (0, 1))
    print(f"{strategy}: AUC on A {a:.3f}, on B {b:.3f}")
