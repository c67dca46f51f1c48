"""A DINO-v2 training step: images per second here and assembled from lightly's parts.

    python benchmarks/dino_vs_lightly.py [rounds]

The same slim ViT at 64x64, 2 + 4 crops, 64 images per step, DINO + iBOT + KoLeo, AdamW and the
teacher's update. Both take the same sources and the same optimiser; lightly's side has its
`DINOTransform` image by image (its second figure: crops ready beforehand, as if cut for free), its
masks, masked ViT, heads and losses. Its targets are centred by a running mean; it has no
Sinkhorn-Knopp.
"""

import sys
from typing import Any

import numpy as np
import torch
from lightly.loss import DINOLoss, IBOTPatchLoss, KoLeoLoss
from lightly.models.modules import DINOProjectionHead, MaskedVisionTransformerTIMM
from lightly.models.utils import random_block_mask, update_momentum
from lightly.transforms import DINOTransform
from PIL import Image
from timing import in_turns
from torch import Tensor, nn

from ccl.encoders.encoder import build_encoder
from ccl.encoders.vit import vit_slim
from ccl.objectives.dino import Dino, DinoOptions
from ccl.views.batch import Batch

SIZE, IMAGES, STEP = 64, 64, 0
OPTIONS = DinoOptions(batch_size=IMAGES)


class Ours:
    """Steps of `ccl.objectives.dino.Dino`, as Lightning makes them."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        encoder = build_encoder(OPTIONS.encoder, (SIZE, SIZE))
        self.module = Dino(encoder, OPTIONS, seed=0, steps_per_epoch=100)
        # There is no trainer to log to.
        self.module.log = self.module.log_dict = lambda *args, **kwargs: None  # type: ignore
        self.optimizer = self.module.configure_optimizers()

    def step(self, batch: Batch) -> None:
        """One step of student and teacher."""
        self.module.schedule(self.optimizer, STEP)
        self.optimizer.zero_grad()
        self.module.training_step(batch, 0).backward()
        self.module.on_before_optimizer_step(self.optimizer)
        self.optimizer.step()
        self.module.update_teacher(self.module.teacher_momentum(STEP))


def network() -> nn.ModuleDict:
    """lightly's masked ViT and heads."""
    vit, head = OPTIONS.encoder.vit, OPTIONS.head
    sizes = (vit.width, head.hidden, head.bottleneck, head.prototypes)
    return nn.ModuleDict(
        {
            "backbone": MaskedVisionTransformerTIMM(vit_slim(vit, (SIZE, SIZE))),
            "head": DINOProjectionHead(*sizes),
            "patch_head": DINOProjectionHead(*sizes),
        }
    )


class Lightly(nn.Module):
    """The same training from lightly's parts, as its DINO-v2 example joins them."""

    student: Any
    teacher: Any

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.student, self.teacher = network(), network()
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)
        self.class_loss = DINOLoss(OPTIONS.head.prototypes)
        self.patch_loss = IBOTPatchLoss(OPTIONS.head.prototypes)
        self.koleo_loss = KoLeoLoss()
        self.optimizer = torch.optim.AdamW(self.student.parameters(), lr=1e-3, fused=True)
        self.transform = DINOTransform(
            global_crop_size=SIZE,
            global_crop_scale=OPTIONS.crops.global_crop.crop_scale,
            local_crop_size=OPTIONS.crops.local_size[0],
            local_crop_scale=OPTIONS.crops.local_crop.crop_scale,
            n_local_views=OPTIONS.crops.local_crops,
            normalize=None,
        )

    def crops(self, sources: Tensor) -> list[Tensor]:
        """One tensor per crop; lightly cuts RGB pictures, of which one channel is kept."""
        pictures = [Image.fromarray(source).convert("RGB") for source in sources.numpy()]
        views = [self.transform(picture) for picture in pictures]
        return [torch.stack(crop)[:, :1] for crop in zip(*views, strict=True)]

    def step(self, crops: list[Tensor]) -> None:
        """One step of student and teacher."""
        large, small = torch.cat(crops[:2]), torch.cat(crops[2:])
        grid = SIZE // OPTIONS.encoder.vit.patch
        block = random_block_mask((len(large), grid, grid))
        mask = torch.cat([torch.zeros(len(large), 1, dtype=torch.bool), block.flatten(1)], 1)
        with torch.no_grad():
            seen = self.teacher["backbone"].encode(large)
            teacher_class = self.teacher["head"](seen[:, 0])
            teacher_patch = self.teacher["patch_head"](seen[mask])
        masked = self.student["backbone"].encode(large, mask=mask)
        local = self.student["backbone"].encode(small)
        student_class = self.student["head"](torch.cat([masked[:, 0], local[:, 0]]))
        student_patch = self.student["patch_head"](masked[mask])
        loss = (
            self.class_loss(
                list(teacher_class.chunk(2)),
                list(student_class.split(IMAGES)),
                teacher_temp=OPTIONS.teacher_temperature[0],
            )
            + self.patch_loss(teacher_patch, student_patch, mask=block)
            + 0.1 * sum(self.koleo_loss(tokens) for tokens in masked[:, 0].chunk(2))
        )
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), OPTIONS.gradient_clip)
        self.optimizer.step()
        for part in self.student:
            update_momentum(self.student[part], self.teacher[part], OPTIONS.teacher_momentum[0])


def main(rounds: int) -> None:
    """Prints images per second and ratios."""
    sources = np.random.default_rng(0).integers(0, 256, (2, IMAGES, SIZE, SIZE), dtype=np.uint8)
    a, b = torch.from_numpy(sources)
    ours, lightly = Ours(), Lightly()
    ready = lightly.crops(a)
    whole, theirs, free = in_turns(
        [
            lambda: ours.step({"a": a, "b": b}),
            lambda: lightly.step(lightly.crops(a)),
            lambda: lightly.step(ready),
        ],
        rounds,
    )
    parameters = sum(p.numel() for p in ours.module.pretrained.parameters())
    print(f"backbone of {parameters} parameters, {torch.get_num_threads()} threads")
    print("step                            images/s  ours/this")
    print(f"ccl, crops included           {IMAGES / whole:10.0f} {1:10.2f}")
    print(f"lightly, crops included       {IMAGES / theirs:10.0f} {theirs / whole:10.2f}")
    print(f"lightly, crops cut beforehand {IMAGES / free:10.0f} {free / whole:10.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
