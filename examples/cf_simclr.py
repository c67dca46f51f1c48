"""Counterfactual contrastive learning on one screen: generator, pairs, SimCLR, probe.

Scanners A and B take made-up images of a round shadow; the finding is a small spot in it. B is
rare, shows grey levels the other way round and more noise. Two minutes on a core.
"""

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

STAGES = [(16, 32, 2), (4, 64, 8), (1, 64, 16)]  # resolution, width, latent channels
HVAE = HVAEOptions(
    stages=tuple(
        Stage(resolution=r, width=w, encoder_blocks=1, decoder_blocks=1, latent_channels=z)
        for r, w, z in STAGES
    ),
    **{"unshuffle": 2, "bottleneck": 0.5, "pixel_scale": 0.1, "pixel_map": "line"},
    **{"pixel_noise": "scanner", "abduct": "noise"},
)
GENERATOR = GeneratorOptions(hvae=HVAE, epochs=10, learning_rate=2e-3, ema_decay=0.99)
VIEWS = AugmentOptions(crop_scale=(0.7, 0.99), rotation_degrees=10, erase_probability=0)
SIMCLR = SimCLROptions(epochs=12, batch_size=64, augment=VIEWS)


def radiographs(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images uint8 (n, 32, 32), their scanners (n,), 0 = A or 1 = B, and findings (n,)."""
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    scanner, finding = (rng.random((2, n)) < [[0.15], [0.5]]).astype(int)
    cx, cy, sx, sy, radius = rng.uniform(-0.3, 0.3, (5, n, 1, 1))
    shadow = 0.5 / (1 + np.exp(12 * (np.hypot(x - cx, y - cy) - 0.6 - radius / 2)))
    spot = finding[:, None, None] * 0.25 * np.exp(-80 * ((x - sx) ** 2 + (y - sy) ** 2))
    grey, noise = 0.1 + shadow + spot, rng.normal(size=(n, 32, 32))
    taken = np.stack([grey + 0.01 * noise, 0.9 - 0.8 * grey + 0.05 * noise])
    return (255 * taken[scanner, range(n)].clip(0, 1)).astype(np.uint8), scanner, finding


def auc(score: torch.Tensor, truth: np.ndarray) -> float:
    """Area under the ROC curve."""
    return (score[truth == 1][:, None] > score[truth == 0]).float().mean().item()


rng = np.random.default_rng(0)
images, scanner, finding = radiographs(1600, rng)
seen, seen_scanner, seen_finding = radiographs(2000, rng)
source, rows = ImageArrays(images, {"scanner": (("A", "B"), scanner)}), np.arange(len(images))
# 1. A causal generator of the image given its scanner, from images that are not paired.
parents = image_parents(source, rows, {"scanner": (), "image": ("scanner",)})
generator, _ = train(source, rows, parents, GENERATOR)
# 2. Abduction, action, prediction: every image on every scanner.
bank = Bank(counterfactuals(generator, source, rows, "scanner"), position=rows)
for strategy in ("standard", "counterfactual"):
    # 3. SimCLR on two views of an image, or of an image and its counterfactual.
    torch.manual_seed(0)
    batches = PairBatches(Pairs(strategy, images, bank), rows, batch_size=64, seed=0)
    encoder = build_encoder(EncoderOptions(pretrained="leaves"), (32, 32))
    simclr = SimCLR(encoder, SIMCLR, seed=0, steps_per_epoch=len(batches))
    fit(simclr, batches, epochs=SIMCLR.epochs, folder=None, seed=0)
    # 4. A linear probe of the frozen features, on 160 labels.
    with torch.inference_mode():
        features = [encoder.eval()(as_image(torch.from_numpy(x))) for x in (images[:160], seen)]
        few, test = ((z - features[0].mean(0)) / (features[0].std(0) + 1e-6) for z in features)
        target = few.T @ torch.from_numpy(2.0 * finding[:160] - 1).float()
        weights = torch.linalg.solve(few.T @ few + 16 * torch.eye(few.shape[1]), target)
    per_scanner = [seen_scanner == code for code in (0, 1)]
    print(strategy, *(f"{auc((test @ weights)[at], seen_finding[at]):.3f}" for at in per_scanner))
