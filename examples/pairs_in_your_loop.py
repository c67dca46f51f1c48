"""Counterfactual pairs in a training loop of your own: a plain PyTorch `Dataset`.

`ccl.pairs` says where the two views of a positive pair are cut from; loader, views, network and
optimiser are yours. Seconds on a core.
"""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ccl.losses import nt_xent
from ccl.pairs import Bank, Pairs, Strategy


class PairDataset(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Two images of each patient: the real one and, drawn anew each time, its partner."""

    def __init__(self, strategy: Strategy, images: np.ndarray, bank: Bank, seed: int = 0) -> None:
        self.pairs = Pairs(strategy, images, bank)
        self.rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self.pairs.images)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        sources = self.pairs.sources(np.array([row]), self.rng)
        first, second = (torch.from_numpy(source).float() / 255 for source in sources)
        return first, second  # (1, H, W) each, in [0, 1]


# Sixty-four images of one scanner, and what the other would have shown: brighter ones.
images = np.random.default_rng(0).integers(0, 256, (64, 16, 16), dtype=np.uint8)
brighter = (255 * np.sqrt(images / 255)).astype(np.uint8)
bank = Bank(np.stack([images, brighter], axis=1), position=np.arange(64))
loader = DataLoader(PairDataset("counterfactual", images, bank), batch_size=32, shuffle=True)
torch.manual_seed(0)
network = nn.Sequential(nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 16))
optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
for epoch in range(20):
    for a, b in loader:
        loss = nt_xent(network(a), network(b), temperature=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")
