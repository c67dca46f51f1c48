"""How DINO-v2 is trained."""

from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from ccl.encoders.options import VIT_SLIM, EncoderOptions
from ccl.objectives.objective import ObjectiveOptions
from ccl.options import Options
from ccl.views.options import CropOptions, MaskOptions, Probability

Positive = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0)]


Centering = Literal["sinkhorn", "softmax", "none"]


class HeadOptions(Options):
    """Size of a head: K prototypes, width of its two hidden layers, length of its bottleneck."""

    prototypes: int = Field(default=1024, ge=2)
    hidden: int = Field(default=512, ge=1)
    bottleneck: int = Field(default=128, ge=1)


class CollapseOptions(Options):
    """When a training counts as collapsed; compared with an epoch's means.

    Attributes:
        grace: share of the epochs that are not checked; early on, any run looks collapsed. The last
            epoch always is.
        largest_loss: of the DINO loss / ln K; 1 is a student that tells no prototype apart.
        least_spread: of `embedding_std` of the teacher's class tokens; 0 is one point.
        least_prototype_entropy: of the mean target's entropy / ln K; 0 is one prototype for all.
    """

    grace: float = Field(default=0.5, ge=0, lt=1)
    largest_loss: float = Field(default=0.99, gt=0)
    least_spread: float = Field(default=0.1, ge=0)
    least_prototype_entropy: float = Field(default=0.1, ge=0)


class DinoOptions(ObjectiveOptions):
    """How DINO-v2 is trained: its published defaults but for drop path, sizes for 64 pixels.

    The paper's released code is another variant; book/released.md lists what differs.

    Attributes:
        encoder: a vision transformer.
        crops: the two global and the local crops.
        masks: of the patches of global crops that the student cannot see.
        head: of class tokens and patches.
        ibot_head: 'separate' weights for patches, as DINO-v2 publishes, or 'shared' with classes.
        ibot_weight: of the masked-patch loss.
        koleo_weight: of KoLeo on the student's class tokens, the sum over the two global crops.
        centering: of the teacher's targets, 'sinkhorn' (DINO-v2), 'softmax' (DINO) or 'none'.
        centre_momentum: of the running centre of 'softmax'.
        student_temperature: of the student's softmax.
        teacher_temperature, teacher_warmup_epochs: of the targets, at the start and after the
            warm-up, in which it grows linearly.
        teacher_momentum: of the running mean that is the teacher; half a cosine from start to end.
        drop_path: probability of leaving out a branch of a block of the student, the same at every
            depth; 0.3 in DINO-v2's published configuration.
        learning_rate, warmup_epochs: peak of AdamW's, and of linear growth to it.
        final_learning_rate: at the end of the half cosine.
        weight_decay: half a cosine from start to end; biases and normalisations have none.
        layer_decay, patch_factor: the learning rate's factor per block, counted from the head down,
            and a further one for the patch embedding.
        freeze_last_layer_epochs: in which prototypes are not trained.
        gradient_clip: largest gradient norm of the backbone and of each head.
        precision: of backbone and heads; losses are always computed in float32. 'bfloat16' pays
            on GPUs, and makes the narrow layers of the slim ViT slower on CPUs.
        collapse: when a run counts as collapsed and is stopped.
    """

    encoder: EncoderOptions = EncoderOptions(architecture=VIT_SLIM)
    batch_size: int = Field(default=64, ge=2)
    crops: CropOptions = CropOptions()
    masks: MaskOptions = MaskOptions()
    head: HeadOptions = HeadOptions()
    ibot_head: Literal["separate", "shared"] = "separate"
    ibot_weight: float = Field(default=1.0, ge=0)
    koleo_weight: float = Field(default=0.1, ge=0)
    centering: Centering = "sinkhorn"
    centre_momentum: float = Field(default=0.9, ge=0, le=1)
    student_temperature: float = Field(default=0.1, gt=0)
    teacher_temperature: tuple[Positive, Positive] = (0.04, 0.07)
    teacher_warmup_epochs: float = Field(default=30, ge=0)
    teacher_momentum: tuple[Probability, Probability] = (0.992, 1.0)
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    final_learning_rate: float = Field(default=1e-6, ge=0)
    warmup_epochs: float = Field(default=10, ge=0)
    weight_decay: tuple[Decay, Decay] = (0.04, 0.4)
    layer_decay: float = Field(default=0.9, gt=0, le=1)
    patch_factor: float = Field(default=0.2, gt=0)
    freeze_last_layer_epochs: float = Field(default=1, ge=0)
    gradient_clip: float = Field(default=3.0, gt=0)
    precision: Literal["bfloat16", "float32"] = "float32"
    collapse: CollapseOptions = CollapseOptions()

    def crop_sizes(self, frame: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """Sizes that the backbone sees: frame, global and local crops, (height, width) each."""
        return frame, self.crops.global_size or frame, self.crops.local_size


def require_fit(options: DinoOptions, frame: tuple[int, int]) -> None:
    """Checks that DINO can be trained on frames of (height, width) pixels; allocates no weights.

    Raises:
        ValueError: the encoder is no ViT, or its patches do not tile frame and crops.
    """
    patch = _patch(options.encoder, frame)
    for size in options.crop_sizes(frame):
        if size[0] % patch[0] or size[1] % patch[1]:
            raise ValueError(
                f"dino.encoder: patches of {patch} pixels do not tile images or crops of {size}; "
                "choose a patch that divides both sides, or another frame"
            )


@cache
def _patch(encoder: EncoderOptions, frame: tuple[int, int]) -> tuple[int, int]:
    if encoder.architecture == VIT_SLIM:
        return encoder.vit.patch, encoder.vit.patch
    # Only timm knows its models.
    import torch

    from ccl.encoders.encoder import build_encoder
    from ccl.encoders.vit import as_vit

    with torch.device("meta"):
        backbone = build_encoder(encoder.model_copy(update={"pretrained": None}), frame).backbone
    height, width = as_vit(backbone, encoder.architecture).patch_embed.patch_size
    return height, width
