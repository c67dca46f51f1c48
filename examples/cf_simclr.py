"""Counterfactual contrastive learning on one screen, on made-up images; a minute on one core.

Two scanners take 32x32 images of round shadows; B inverts the grey levels' curve, adds noise and
marks a corner. The finding is a small bright spot. Run: python examples/cf_simclr.py
"""

import numpy as np
import torch

from ccl.encoders.encoder import build_encoder
from ccl.encoders.options import EncoderOptions
from ccl.generator.generator import counterfactuals
from ccl.generator.graph import image_parents
from ccl.generator.hvae import HVAEOptions, Stage
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


def radiographs(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images uint8 (n, 32, 32), their scanners (n,), 0 = A or 1 = B, and findings (n,)."""
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    scanner, finding = rng.random(n) < 0.2, rng.random(n) < 0.5  # B is the rare one
    cx, cy, r, sx, sy = rng.uniform(
        [[-0.3], [-0.3], [0.4], [-0.4], [-0.4]], [[0.3], [0.3], [0.7], [0.4], [0.4]], (5, n)
    )[:, :, None, None]
    body = 0.6 / (1 + np.exp(12 * (np.hypot(x - cx, y - cy) - r)))
    spot = 0.35 * finding[:, None, None] * np.exp(-60 * ((x - sx) ** 2 + (y - sy) ** 2))
    a = 0.1 + body + spot + rng.normal(0, 0.01, (n, 32, 32))
    b = 1 - (0.1 + body + spot) ** 0.5 + rng.normal(0, 0.05, (n, 32, 32))
    b[:, 1:5, 1:9] = 1
    images = np.where(scanner[:, None, None], b, a)
    return (255 * images.clip(0, 1)).astype(np.uint8), scanner.astype(int), finding.astype(int)


rng = np.random.default_rng(0)
images, scanner, finding = radiographs(2000, rng)
source = ImageArrays(images, {"scanner": (("A", "B"), scanner)})
rows = np.arange(len(images))

# 1. The generator: scanner -> image, learned from unpaired images.
stages = (
    Stage(resolution=16, width=32, encoder_blocks=1, decoder_blocks=1, latent_channels=2),
    Stage(resolution=4, width=64, encoder_blocks=1, decoder_blocks=1, latent_channels=8),
    Stage(resolution=1, width=64, encoder_blocks=1, decoder_blocks=1, latent_channels=16),
)
how = GeneratorOptions(
    hvae=HVAEOptions(
        stages=stages,
        unshuffle=2,
        bottleneck=0.5,
        pixel_scale=0.1,
        pixel_map="line",
        pixel_noise="scanner",
        abduct="noise",
    ),
    epochs=8,
    batch_size=32,
    learning_rate=2e-3,
    ema_decay=0.99,
)
parents = image_parents(source, rows, {"scanner": (), "image": ("scanner",)})
generator, _ = train(source, rows, parents, how)

# 2. Every image on every scanner: abduction, action, prediction.
bank = Bank(counterfactuals(generator, source, rows, "scanner"), position=rows)

# 3. SimCLR, on two views of one image or on a real image and its counterfactual.
test_images, test_scanner, test_finding = radiographs(1000, rng)
for strategy in ("standard", "counterfactual"):
    torch.manual_seed(0)
    options = SimCLROptions(
        epochs=10,
        batch_size=64,
        augment=AugmentOptions(crop_scale=(0.7, 0.99), vertical_flip_probability=0),
    )
    batches = PairBatches(Pairs(strategy, images, bank), rows, batch_size=64, seed=0)
    module = SimCLR(
        build_encoder(EncoderOptions(), (32, 32)), options, seed=0, steps_per_epoch=len(batches)
    )
    fit(module, batches, epochs=options.epochs, folder=None, seed=0)

    # 4. A linear probe on few labels: least squares on frozen features.
    encoder = module.pretrained.eval()
    with torch.no_grad():
        train_x, test_x = (
            encoder(as_image(torch.from_numpy(x))) for x in (images[:200], test_images)
        )
    mean, std = train_x.mean(0), train_x.std(0) + 1e-6
    x, t = (train_x - mean) / std, (test_x - mean) / std
    w = torch.linalg.solve(
        x.T @ x + 20 * torch.eye(x.shape[1]),
        x.T @ torch.from_numpy(2.0 * finding[:200] - 1).float(),
    )
    for code, name in enumerate("AB"):
        score, truth = (t @ w)[test_scanner == code], test_finding[test_scanner == code] == 1
        auc = (score[truth][:, None] > score[~truth][None]).float().mean()
        print(f"{strategy:15} scanner {name}: AUC {auc:.3f}")
