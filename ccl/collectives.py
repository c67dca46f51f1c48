"""Collectives of tensors through which gradients flow; of one process, the same tensor.

When every process computes the same loss from gathered rows, the mean over processes of the
parameters' gradients, which is what distributed data parallel takes, is the gradient of one process
on the whole batch.
"""

import torch
from torch import Tensor
from torch.distributed import ReduceOp
from torch.distributed.nn import functional

from ccl.distributed import world_size


def all_gather(rows: Tensor) -> Tensor:
    """Rows of all processes, (n, ...) of each to (size n, ...), in the order of their ranks."""
    return torch.cat(functional.all_gather(rows)) if world_size() > 1 else rows


def all_reduce_sum(values: Tensor) -> Tensor:
    """Sum over the processes, of the same shape."""
    total: Tensor = functional.all_reduce(values) if world_size() > 1 else values
    return total


def all_reduce_mean(values: Tensor) -> Tensor:
    """Mean over the processes, of the same shape."""
    return all_reduce_sum(values) / world_size() if world_size() > 1 else values


def all_reduce_max(values: Tensor) -> Tensor:
    """Maximum over the processes, of the same shape; no gradient flows through it."""
    if world_size() == 1:
        return values
    largest: Tensor = functional.all_reduce(values.detach(), ReduceOp.MAX)
    return largest
