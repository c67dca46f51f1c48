"""Batch normalisation over the whole batch of processes that train as one."""

from typing import Any

import torch
from lightning.pytorch.plugins.layer_sync import LayerSync
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ccl import processes
from ccl.collectives import summed


class SharedBatchNorm(nn.SyncBatchNorm):
    """Stands for a layer of batch normalisation and takes its statistics over all processes.

    torch's own works on GPUs only, and its conversion forgets the activation that timm's layers
    of batch normalisation carry.
    """

    def __init__(self, layer: _BatchNorm) -> None:
        """Shares the weights and running statistics of a layer."""
        super().__init__(layer.num_features, layer.eps, layer.momentum or 0.1)
        self.affine, self.track_running_stats = layer.affine, layer.track_running_stats
        self._parameters, self._buffers = layer._parameters, layer._buffers
        self.drop = getattr(layer, "drop", nn.Identity())
        self.act = getattr(layer, "act", nn.Identity())
        self.train(layer.training)
        self.replaced = [layer]  # in a list, so that it is no part of this layer

    def forward(self, input: Tensor) -> Tensor:
        """Of (n, C, ...), the same shape."""
        on_cpu = self.training and input.device.type == "cpu"
        normalised = self._normalised(input) if on_cpu else super().forward(input)
        activated: Tensor = self.act(self.drop(normalised))
        return activated

    def _normalised(self, x: Tensor) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        axes = [axis for axis in range(x.ndim) if axis != 1]
        each = [1, -1, *(1 for _ in axes[1:])]  # shape of one value per channel
        values = x.numel() // x.shape[1] * processes.count()  # all have the same share
        mean = summed(wide.sum(axes)) / values
        centred = wide - mean.view(each)
        variance = summed(centred.square().sum(axes)) / values
        if self.track_running_stats:
            self._remember(mean.detach(), variance.detach() * values / max(1, values - 1))
        normalised = centred * (variance + self.eps).rsqrt().view(each)
        if self.affine:
            normalised = normalised * self.weight.view(each) + self.bias.view(each)
        return normalised.to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.num_batches_tracked is not None and self.momentum is not None
        assert self.running_mean is not None and self.running_var is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)


class SharedBatchNorms(LayerSync):
    """Lightning's plugin that shares all layers of batch normalisation while a model trains."""

    def apply(self, model: nn.Module) -> Any:
        """The model with shared layers; weights and names stay."""
        for name, layer in list(model.named_modules()):
            if isinstance(layer, _BatchNorm):
                model.set_submodule(name, SharedBatchNorm(layer))
        return model

    def revert(self, model: nn.Module) -> Any:
        """The model with the layers that it had, which have learned what the shared ones did."""
        for name, layer in list(model.named_modules()):
            if isinstance(layer, SharedBatchNorm):
                layer.replaced[0].train(layer.training)
                model.set_submodule(name, layer.replaced[0])
        return model
