"""What one step of gradient descent makes of a small model, to compare losses with lightly's."""

from collections.abc import Callable

import torch
from torch import Tensor


def parameters_after_a_step(
    loss: Callable[[Tensor], Tensor], given: Tensor, width: int, learning_rate: float = 1.0
) -> Tensor:
    """Parameters of a linear layer of some width after one step on the loss of its outputs."""
    torch.manual_seed(0)
    model = torch.nn.Linear(given.shape[-1], width)
    optimizer = torch.optim.SGD(model.parameters(), learning_rate)
    loss(model(given)).backward()
    optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
