"""SimCLR: two views of each pair, encoder, projector, NT-Xent."""

import math

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from ccl.collectives import all_gather
from ccl.compilation import compile_parts
from ccl.devices import mixed_precision
from ccl.encoders.encoder import Encoder
from ccl.losses import nt_xent
from ccl.objectives.embedding_statistics import embedding_statistics
from ccl.objectives.simclr_options import SimCLROptions
from ccl.schedules import warmup_cosine
from ccl.seeding import step_generator
from ccl.views.augment import augment
from ccl.views.batch import Batch


class SimCLR(lightning.LightningModule):
    """Trains `encoder` to embed the two views of a pair alike and other pairs apart.

    Only the batch stream knows the pairing strategy: this module is SimCLR, SimCLR+ and
    CF-SimCLR alike.

    Source:
        Chen et al., ICML 2020, https://arxiv.org/abs/2002.05709
    """

    def __init__(
        self, encoder: Encoder, options: SimCLROptions, *, seed: int, steps_per_epoch: int
    ) -> None:
        """Projector on top of an encoder.

        Args:
            encoder: what is pretrained; kept as `self.encoder`.
            options: how.
            seed: of the augmentation; weights come from torch's global generator.
            steps_per_epoch: length of the batch stream, for the learning-rate schedule.
        """
        super().__init__()
        self.options, self.seed, self.steps_per_epoch = options, seed, steps_per_epoch
        self.encoder = encoder.to(memory_format=torch.channels_last)
        compile_parts([self.encoder.backbone], options.compile)
        self.projector = nn.Sequential(
            nn.Linear(encoder.width, options.projector_hidden),
            nn.ReLU(),
            nn.Linear(options.projector_hidden, options.projector_out),
        )

    @property
    def pretrained(self) -> Encoder:
        """The encoder without its projector."""
        return self.encoder

    def views(self, batch: Batch, step: int) -> Tensor:
        """Random views (2N, 1, H, W) of a batch: N first views, then their N partners."""
        generator = step_generator(self.seed, step, "augment")
        return augment(torch.cat([batch["a"], batch["b"]]), self.options.augment, generator)

    def embed(self, views: Tensor) -> Tensor:
        """Embeddings, float32 (n, projector_out), of views (n, 1, H, W)."""
        half = self.options.precision == "bfloat16"
        with mixed_precision(views.device.type, half):
            embedding: Tensor = self.projector(self.encoder(views))
        return embedding.float()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """NT-Xent of one batch, logged beside what shows a collapse.

        Processes that train as one contrast every pair with those of all of them.
        """
        embedded = self.embed(self.views(batch, self.global_step)).chunk(2)
        z_a, z_b = (all_gather(z) for z in embedded)  # 2 x (N, D)
        loss = nt_xent(z_a, z_b, temperature=self.options.temperature)
        self.log("loss", loss, prog_bar=True, on_step=False, on_epoch=True, sync_dist=True)
        chance = math.log(2 * len(z_a) - 1)  # the loss of embeddings that tell nothing apart
        metrics = {"loss_over_chance": loss / chance} | embedding_statistics(
            z_a, z_b, step=batch_idx
        )
        self.log_dict(metrics, on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser, and the schedule advanced at every step."""
        options = self.options
        kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
        optimizer = kinds[options.optimizer](
            parameter_groups(self, options.weight_decay), lr=options.learning_rate, fused=True
        )
        warmup = round(options.warmup_epochs * self.steps_per_epoch)
        total = options.epochs * self.steps_per_epoch

        def factor(step: int) -> float:
            return warmup_cosine(step, warmup, total, options.decline)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Parameters with weight decay (matrices, kernels) and without (biases, normalisations)."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
