"""What processes that train as one tell each other of tensors; of one alone, the same tensor.

Gradients flow through `gathered`, `summed` and `averaged`. When every process computes the same
loss from gathered rows, the mean over processes of the parameters' gradients, which is what
distributed training takes, is the gradient of one process on the whole batch.
"""

from typing import Any

import torch
from torch import Tensor, distributed

from companion.engine import processes


def gathered(rows: Tensor) -> Tensor:
    """Rows of all processes, (n, ...) of each to (count n, ...), in the order of their ranks."""
    if processes.count() == 1:
        return rows
    here, last = processes.rank(), processes.count() - 1
    before, after = (rows.new_zeros(n * len(rows), *rows.shape[1:]) for n in (here, last - here))
    return summed(torch.cat([before, rows, after]))


def summed(values: Tensor) -> Tensor:
    """Sum over the processes, of the same shape."""
    if processes.count() == 1:
        return values
    total: Tensor = _Sum.apply(values)
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


class _Sum(torch.autograd.Function):
    """Each process's values are a part of every process's sum, so their gradients are summed."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _sum(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _sum(gradient)


def _sum(values: Tensor) -> Tensor:
    total = values.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total
