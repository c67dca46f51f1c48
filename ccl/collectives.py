"""Collectives of tensors through which gradients flow; of one process, the same tensor.

When every process computes the same loss from gathered rows, the mean over processes of the
parameters' gradients, which is what distributed data parallel takes, is the gradient of one process
on the whole batch.
"""

from typing import Any

import torch
from torch import Tensor, distributed

from ccl.distributed import rank, world_size


def all_gather(rows: Tensor) -> Tensor:
    """Rows of all processes, (n, ...) of each to (size n, ...), in the order of their ranks."""
    if world_size() == 1:
        return rows
    here, last = rank(), world_size() - 1
    before, after = (rows.new_zeros(n * len(rows), *rows.shape[1:]) for n in (here, last - here))
    return all_reduce_sum(torch.cat([before, rows, after]))


def all_reduce_sum(values: Tensor) -> Tensor:
    """Sum over the processes, of the same shape."""
    if world_size() == 1:
        return values
    total: Tensor = _Sum.apply(values)
    return total


def all_reduce_mean(values: Tensor) -> Tensor:
    """Mean over the processes, of the same shape."""
    return all_reduce_sum(values) / world_size() if world_size() > 1 else values


def all_reduce_max(values: Tensor) -> Tensor:
    """Maximum over the processes, of the same shape; no gradient flows through it."""
    if world_size() == 1:
        return values
    largest = values.detach().clone()
    distributed.all_reduce(largest, distributed.ReduceOp.MAX)
    return largest


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
