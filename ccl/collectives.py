"""What processes that train as one tell each other of tensors; of one alone, the same tensor.

Gradients flow through `gathered`, `summed` and `averaged`. When every process computes the same
loss from gathered rows, the mean over processes of the parameters' gradients, which is what
distributed training takes, is the gradient of one process on the whole batch.
"""

import torch
from torch import Tensor, distributed
from torch.distributed.nn import functional

from ccl import processes


def gathered(rows: Tensor) -> Tensor:
    """Rows of all processes, (n, ...) of each to (count n, ...), in the order of their ranks."""
    if processes.count() == 1:
        return rows
    return torch.cat(functional.all_gather(rows))


def summed(values: Tensor) -> Tensor:
    """Sum over the processes, of the same shape."""
    if processes.count() == 1:
        return values
    total: Tensor = functional.all_reduce(values)
    return total


def averaged(values: Tensor) -> Tensor:
    """Mean over the processes, of the same shape."""
    return summed(values) / processes.count() if processes.count() > 1 else values


def greatest(values: Tensor) -> Tensor:
    """Maximum over the processes, of the same shape; no gradient flows through it."""
    if processes.count() == 1:
        return values
    most = values.detach().clone()
    distributed.all_reduce(most, distributed.ReduceOp.MAX)
    return most
