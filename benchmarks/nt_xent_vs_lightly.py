"""NT-Xent forward and backward: time relative to lightly's, measured in turns in one run.

python benchmarks/nt_xent_vs_lightly.py
"""

import torch
from lightly.loss import NTXentLoss
from timing import in_turns

from ccl.losses import nt_xent

TEMPERATURE = 0.1


def main() -> None:
    """Prints one row per batch size."""
    theirs = NTXentLoss(temperature=TEMPERATURE)
    print("pairs  ours ms  lightly ms  lightly/ours  difference of the loss")
    for pairs in (128, 256, 512, 1024):
        z = torch.randn(2, pairs, 128, generator=torch.Generator().manual_seed(0))
        z_a, z_b = (view.clone().requires_grad_() for view in z)

        def ours(a: torch.Tensor = z_a, b: torch.Tensor = z_b) -> torch.Tensor:
            loss = nt_xent(a, b, temperature=TEMPERATURE)
            loss.backward()
            return loss

        def lightly(a: torch.Tensor = z_a, b: torch.Tensor = z_b) -> torch.Tensor:
            loss = theirs(a, b)
            loss.backward()
            return loss

        a, b = in_turns([ours, lightly], rounds=15)
        difference = abs(ours().item() - lightly().item())
        print(f"{pairs:5d} {1e3 * a:8.2f} {1e3 * b:11.2f} {b / a:13.2f} {difference:12.1e}")


if __name__ == "__main__":
    main()
