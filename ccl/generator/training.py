"""Training the HVAE: weighted batches, gradient skipping, averaged weights."""

import copy
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor

from ccl.compilation import compile_parts
from ccl.devices import fastest_device, mixed_precision
from ccl.errors import TrainingError
from ccl.generator.batches import Codes, WeightedBatches
from ccl.generator.blocks import Block
from ccl.generator.generator import Generator
from ccl.generator.graph import ImageParents
from ccl.generator.hvae import HVAE
from ccl.generator.images import Images
from ccl.generator.options import GeneratorOptions
from ccl.generator.pixel_moments import scanner_spreads
from ccl.generator.registration import mean_shapes
from ccl.schedules import cosine
from ccl.trainer import History, fit


class HVAETraining(lightning.LightningModule):
    """Minimises nll + beta KL; keeps an exponential moving average of the weights.

    Processes that train as one apply the same gradients, and so keep the same average.
    """

    def __init__(self, hvae: HVAE, options: GeneratorOptions, total_steps: int) -> None:
        super().__init__()
        self.hvae, self.options, self.total_steps = hvae, options, total_steps
        self.average = copy.deepcopy(hvae).requires_grad_(False)
        blocks = (part for part in hvae.modules() if isinstance(part, Block))
        compile_parts(blocks, options.compile)
        self.skipped: Tensor | int = 0  # of this epoch's steps; read at its end
        self.steps = 0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, parents = batch
        with mixed_precision(x.device.type, self.options.bfloat16):
            elbo = self.hvae.elbo(x, parents)
        bits = 1 / np.log(2)
        metrics = {"nll": elbo.nll * bits, "kl": elbo.kl * bits}
        metrics |= {f"kl_{size}": kl * bits for size, kl in elbo.kl_by_resolution.items()}
        self.log_dict(metrics, on_epoch=True, on_step=False, sync_dist=True)
        loss = elbo.nll + self.options.beta * elbo.kl
        self.log("loss", loss, on_epoch=True, on_step=False, prog_bar=True, sync_dist=True)
        return loss

    def configure_optimizers(self) -> Any:
        options = self.options
        optimizer = torch.optim.AdamW(
            self.hvae.parameters(),
            options.learning_rate,
            betas=options.betas,
            weight_decay=options.weight_decay,
            fused=True,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._learning_rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _learning_rate_factor(self, step: int) -> float:
        warm = min(1.0, (step + 1) / max(1, self.options.warmup_steps))
        falls = self.options.decline == "cosine"
        return warm * (cosine(step, self.total_steps, 1.0, 0.0) if falls else 1.0)

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Scales gradients down, or has the optimiser leave this step out."""
        norm = torch.nn.utils.clip_grad_norm_(self.hvae.parameters(), self.options.gradient_clip)
        skip = torch.logical_not(norm <= self.options.gradient_skip)  # also if it is not a number
        # By this, of `torch.amp.GradScaler`, a fused optimiser leaves weights and state as they
        # are, and no host waits to hear whether to.
        optimizer.found_inf = skip.float()
        self.skipped = self.skipped + skip
        self.steps += 1
        metrics = {"gradient_norm": norm, "skipped_share": skip.float()}
        self.log_dict(metrics, on_epoch=True, on_step=False, sync_dist=True)

    def averaged(self, batches: WeightedBatches) -> HVAE:
        """The trained HVAE with averaged weights, its noise measured on the first epoch."""
        hvae = self.average.eval()
        if hvae.options.pixel_noise == "scanner":
            hvae.to(fastest_device()).calibrate_noise(batches.epoch(0))
        return hvae.cpu()

    @torch.no_grad()
    def on_train_batch_end(self, *_: Any) -> None:
        """Moves the averaged weights; they move faster at first, when weights do.

        Not by torch's `AveragedModel`, whose count of steps a host has to wait for.
        """
        before = self.global_step - 1  # steps that are averaged
        decay = min(self.options.ema_decay, (1 + before) / (10 + before)) if before else 0.0
        average: list[Tensor] = list(self.average.parameters())
        current: list[Tensor] = list(self.hvae.parameters())
        torch._foreach_lerp_(average, current, 1 - decay)

    def on_train_epoch_end(self) -> None:
        """Raises TrainingError where most steps were skipped."""
        skipped = int(self.skipped)
        if skipped > self.steps / 2:
            raise TrainingError(
                f"{skipped} of {self.steps} steps of epoch {self.current_epoch} were skipped "
                f"for gradients above gradient_skip={self.options.gradient_skip:g}: raise it, or "
                "lower learning_rate"
            )
        self.skipped = self.steps = 0


def train(
    source: Images,
    rows: np.ndarray,
    parents: ImageParents,
    options: GeneratorOptions,
    folder: Path | None = None,
    stop_after: int | None = None,
) -> tuple[Generator, History]:
    """A trained generator, and the history of its training.

    Args:
        source, rows: training images, and what is stated of them.
        parents: causes of the images, see `ccl.generator.graph.image_parents`.
        options: architecture and training.
        folder: for checkpoints; a killed training resumes from there. None keeps none.
        stop_after: epochs after which to stop, with the schedules of the whole training.

    Returns:
        The generator with averaged weights, and one row of metrics per epoch: nll and KL in bits,
        the loss in nats, per pixel.
    """
    torch.manual_seed(options.seed)
    height, width = source.images.shape[1:]
    hvae = HVAE(options.hvae, parents.sizes, height, width)
    if fastest_device().type == "cuda":  # whose convolutions want it so; a CPU's are slower
        hvae = hvae.to(memory_format=torch.channels_last)
    _calibrate_maps(hvae, source, rows, parents)
    batches = training_batches(source, rows, parents, options)
    module = HVAETraining(hvae, options, total_steps=len(batches) * options.epochs)
    epochs = options.epochs if stop_after is None else min(stop_after, options.epochs)
    history = fit(module, batches, epochs=epochs, folder=folder, seed=options.seed)
    return Generator(parents, module.averaged(batches)), history


def _calibrate_maps(hvae: HVAE, source: Images, rows: np.ndarray, parents: ImageParents) -> None:
    """Measures on training images what latents need not explain."""
    hvae.pixel_map.calibrate(scanner_spreads(source, rows))
    name = hvae.registration.parent
    if name is not None:
        codes = source.codes(name, rows)
        means = mean_shapes(source, rows, codes, parents.values[name], hvae.pixel_map)
        hvae.registration.calibrate(means, common=int(np.bincount(codes).argmax()))


def training_batches(
    source: Images, rows: np.ndarray, codes: Codes, options: GeneratorOptions
) -> WeightedBatches:
    """The training batches of a generator, with the `codes` of their images."""
    return WeightedBatches(
        source,
        codes,
        rows,
        options.batch_size,
        options.rare_scanner_weight,
        options.seed,
        options.max_steps,
    )
