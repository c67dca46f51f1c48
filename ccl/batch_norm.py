"""Batch normalisation over the whole batch of processes that train as one.

Written here, since `torch.nn.SyncBatchNorm`, which Lightning's `sync_batchnorm` puts in, refuses
tensors on a CPU.
"""

from typing import Any

import torch
from lightning.pytorch.plugins.layer_sync import LayerSync
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ccl import distributed
from ccl.collectives import all_reduce_sum


class SyncBatchNorm(nn.Module):
    """A layer of batch normalisation whose statistics are those of all processes.

    On GPUs by torch's own, which works on no CPU, and whose conversion of a network forgets the
    activation that timm's layers of batch normalisation carry.

    Attributes:
        layer: what it stands for, in a list, so that the names of the weights stay; in evaluation
            mode, in which it is called.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, layer: _BatchNorm) -> None:
        """Shares weights and running statistics with a layer."""
        super().__init__()
        self.layer = [layer.eval()]
        self.eps, self.momentum = layer.eps, layer.momentum or 0.1
        self.on_gpu = [nn.SyncBatchNorm(layer.num_features, self.eps, self.momentum)]
        for sharing in (self, *self.on_gpu):
            sharing._parameters, sharing._buffers = layer._parameters, layer._buffers
        self.drop = getattr(layer, "drop", nn.Identity())
        self.act = getattr(layer, "act", nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        """Normalised features, of the shape of x, (n, C, ...)."""
        if not self.training:
            return self.layer[0](x)
        normalised = self._normalised(x) if x.device.type == "cpu" else self.on_gpu[0](x)
        activated: Tensor = self.act(self.drop(normalised))
        return activated

    def _normalised(self, x: Tensor) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        axes = [axis for axis in range(x.ndim) if axis != 1]
        each = [1, -1, *(1 for _ in axes[1:])]  # shape of one value per channel
        values = x.numel() // x.shape[1] * distributed.world_size()  # all have the same share
        mean = all_reduce_sum(wide.sum(axes)) / values
        centred = wide - mean.view(each)
        variance = all_reduce_sum(centred.square().sum(axes)) / values
        self._remember(mean.detach(), variance.detach() * values / max(1, values - 1))
        normalised = centred * (variance + self.eps).rsqrt().view(each)
        normalised = normalised * self.weight.view(each) + self.bias.view(each)
        return normalised.to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)


class SyncBatchNorms(LayerSync):
    """Lightning's plugin that shares all layers of batch normalisation while a model trains."""

    def apply(self, model: nn.Module) -> Any:
        """The model with shared layers; weights and their names stay."""
        for name, layer in list(model.named_modules()):
            if isinstance(layer, _BatchNorm):
                training = layer.training
                model.set_submodule(name, SyncBatchNorm(layer).train(training))
        return model

    def revert(self, model: nn.Module) -> Any:
        """The model with the layers that it had, which have learned what the shared ones did."""
        for name, shared in list(model.named_modules()):
            if isinstance(shared, SyncBatchNorm):
                model.set_submodule(name, shared.layer[0].train(shared.training))
        return model
