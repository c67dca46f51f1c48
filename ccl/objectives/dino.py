"""DINO-v2: a student learns, from crops and masked crops, what its own running mean sees."""

import copy
from typing import Any, cast

import lightning
import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ccl.collectives import all_gather
from ccl.compilation import compile_parts
from ccl.devices import mixed_precision
from ccl.encoders.encoder import Encoder
from ccl.encoders.vit import as_vit, grid_of
from ccl.losses import dino, ibot, koleo
from ccl.objectives.collapse import distillation_statistics, stop_if_collapsed
from ccl.objectives.dino_head import Targets
from ccl.objectives.dino_network import DinoNetwork, drop_blocks, layer_groups
from ccl.objectives.dino_options import DinoOptions
from ccl.objectives.embedding_statistics import embedding_statistics
from ccl.schedules import cosine, linear, warmup_cosine
from ccl.seeding import fair_coins, step_generator
from ccl.views.batch import Batch
from ccl.views.crops import Crops, multi_crop
from ccl.views.masks import Masked, block_masks


class Dino(lightning.LightningModule):
    """Trains a student by distilling it into itself; the teacher is its running mean.

    Only the batch stream knows the pairing strategy: this module is DINO, DINO+ and CF-DINO alike.
    Everything that a step adds up over time - teacher, running centre - is in the `state_dict`;
    schedules, crops and masks depend on seed and step only.

    Source:
        Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, TMLR 2024,
        https://arxiv.org/abs/2304.07193
    """

    def __init__(
        self, encoder: Encoder, options: DinoOptions, *, seed: int, steps_per_epoch: int
    ) -> None:
        """Student and teacher that start alike, backbone and heads.

        Args:
            encoder: becomes the student's.
            options: how it is trained.
            seed: of crops and masks; weights come from torch's global generator.
            steps_per_epoch: length of the batch stream, for the schedules.

        Raises:
            ValueError: the encoder is no ViT, or its patches do not tile frame and crops.
        """
        super().__init__()
        self.options, self.seed, self.steps_per_epoch = options, seed, steps_per_epoch
        vit = as_vit(encoder.backbone, options.encoder.architecture)
        frame = cast(tuple[int, int], vit.patch_embed.img_size)
        for size in options.crop_sizes(frame):
            grid_of(vit, size)
        separate = options.ibot_head == "separate"
        self.student = DinoNetwork(encoder, options.head, separate_heads=separate)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False).eval()
        drop_blocks(self.student.backbone, options.drop_path)
        blocks: Any = (*self.student.backbone.blocks, *self.teacher.backbone.blocks)
        compile_parts(blocks, options.compile)
        self.class_targets, self.patch_targets = (
            Targets(options.centering, options.head.prototypes, options.centre_momentum)
            for _ in range(2)
        )

    @property
    def pretrained(self) -> Encoder:
        """The teacher's encoder without heads, which is what DINO-v2 evaluates."""
        return self.teacher.encoder

    def train(self, mode: bool = True) -> "Dino":
        """Training mode; the teacher never leaves evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def crops(self, batch: Batch, step: int) -> Crops:
        """The random crops of a batch in a step."""
        swapped = fair_coins(len(batch["a"]), self.seed, step, "sources of global crops")
        generator = step_generator(self.seed, step, "crops")
        return multi_crop(batch, swapped, self.options.crops, generator)

    def masks(self, global_crops: Tensor, step: int) -> Tensor:
        """Masks, bool (2N, P) on the CPU, of global crops (2N, 1, H, W) in a step."""
        height, width = global_crops.shape[2:]
        return block_masks(
            len(global_crops),
            grid_of(self.student.backbone, (height, width)),
            self.options.masks,
            step_generator(self.seed, step, "masks"),
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """DINO + iBOT + KoLeo of one batch, logged beside what shows a collapse.

        Of processes that train as one, each has the first two of its share, whose mean is that of
        the whole batch; neighbours for KoLeo are sought in the whole batch.
        """
        options = self.options
        crops = self.crops(batch, self.global_step)
        device = crops.global_crops.device
        masks = self.masks(crops.global_crops, self.global_step)
        masked = Masked.on(device, masks)
        half = options.precision == "bfloat16"
        with mixed_precision(device.type, half):
            teacher_class, targets, patch_targets = self._teach(crops, masked)
            student_class, logits, patch_logits = self._learn(crops, masked)
        tau = options.student_temperature
        class_loss = dino(logits, targets, temperature=tau)
        patch_loss = ibot(patch_logits, patch_targets, masks, temperature=tau)
        # Per global crop: crops of one image are to come near each other.
        spread_loss = torch.stack([koleo(all_gather(t)) for t in student_class.chunk(2)]).sum()
        loss = class_loss + options.ibot_weight * patch_loss + options.koleo_weight * spread_loss
        self.log("loss", loss, prog_bar=True, on_step=False, on_epoch=True, sync_dist=True)
        self.log_dict(
            {"dino": class_loss, "ibot": patch_loss, "koleo": spread_loss}
            | distillation_statistics(targets.flatten(0, 1), class_loss.detach())
            | embedding_statistics(
                *(all_gather(t) for t in teacher_class.chunk(2)), step=batch_idx
            ),
            on_step=False,
            on_epoch=True,
            sync_dist=True,
        )
        return loss

    @torch.no_grad()
    def _teach(self, crops: Crops, masked: Masked) -> tuple[Tensor, Tensor, Tensor]:
        """The teacher's class tokens (2N, width) and targets (2, N, K) and (M, K)."""
        class_token, patch = self.teacher.tokens(crops.global_crops)
        logits, patch_logits = self.teacher.logits(class_token, masked.of(patch))
        temperature = self.teacher_temperature(self.global_step)
        targets = self.class_targets(logits, temperature).unflatten(0, (2, -1))
        return class_token, targets, self.patch_targets(patch_logits, temperature)

    def _learn(self, crops: Crops, masked: Masked) -> tuple[Tensor, Tensor, Tensor]:
        """The student's global class tokens (2N, width), logits (2 + L, N, K) and (M, K)."""
        class_token, patch = self.student.tokens(crops.global_crops, masked.hidden)
        local, _ = self.student.tokens(crops.local_crops)
        tokens = torch.cat([class_token, local])
        logits, patch_logits = self.student.logits(tokens, masked.of(patch))
        pairs = len(class_token) // 2
        return class_token, logits.unflatten(0, (-1, pairs)), patch_logits

    def teacher_temperature(self, step: int) -> float:
        """Temperature of the targets in a step."""
        return linear(
            step, self._steps(self.options.teacher_warmup_epochs), *self.options.teacher_temperature
        )

    def teacher_momentum(self, step: int) -> float:
        """Share of itself that the teacher keeps in a step."""
        return cosine(step, self._steps(self.options.epochs), *self.options.teacher_momentum)

    def learning_rate(self, step: int) -> float:
        """Learning rate of the top layer in a step."""
        options = self.options
        lowest = options.final_learning_rate
        share = warmup_cosine(step, self._steps(options.warmup_epochs), self._steps(options.epochs))
        return lowest + (options.learning_rate - lowest) * share

    def weight_decay(self, step: int) -> float:
        """Weight decay in a step, where there is any."""
        return cosine(step, self._steps(self.options.epochs), *self.options.weight_decay)

    def _steps(self, epochs: float) -> int:
        return round(epochs * self.steps_per_epoch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; its rates are set anew before every step."""
        options = self.options
        groups = layer_groups(self.student, options.layer_decay, options.patch_factor)
        return torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)

    def schedule(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Sets learning rate and weight decay of every group for a step."""
        rate, decay = self.learning_rate(step), self.weight_decay(step)
        frozen = step < self._steps(self.options.freeze_last_layer_epochs)
        for group in optimizer.param_groups:
            group["lr"] = 0.0 if frozen and group["last_layer"] else rate * group["factor"]
            group["weight_decay"] = decay if group["decayed"] else 0.0

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Scales gradients down; backbone and heads apart, as in DINO-v2."""
        for parameters in self.student.parts():
            torch.nn.utils.clip_grad_norm_(parameters, self.options.gradient_clip)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, closure: Any = None
    ) -> None:
        """A step of the student under this step's rates, then one of the teacher."""
        step = self.global_step
        self.schedule(optimizer, step)
        super().optimizer_step(epoch, batch_idx, optimizer, closure)
        self.update_teacher(self.teacher_momentum(step))

    def update_teacher(self, momentum: float) -> None:
        """teacher <- momentum teacher + (1 - momentum) student, backbone and heads."""
        average = get_ema_multi_avg_fn(momentum)
        average(list(self.teacher.parameters()), list(self.student.parameters()), 0)

    def on_train_epoch_end(self) -> None:
        """Stops a run that has collapsed."""
        options, metrics = self.options, self.trainer.callback_metrics
        stop_if_collapsed(metrics, self.current_epoch, options.epochs, options.collapse)
