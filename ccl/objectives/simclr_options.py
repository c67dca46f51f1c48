"""How SimCLR is trained."""

from typing import Literal

from pydantic import Field

from ccl.objectives.objective import ObjectiveOptions
from ccl.schedules import Decline
from ccl.views.options import AugmentOptions


class SimCLROptions(ObjectiveOptions):
    """How SimCLR is trained; a step contrasts the 2N views of N pairs.

    Attributes:
        temperature: tau of NT-Xent.
        projector_hidden: width of the projector's hidden layer.
        projector_out: length of an embedding.
        optimizer: 'adamw' decays weights apart from the gradient; 'adam' (the released code's)
            adds the decay to it.
        learning_rate: peak learning rate.
        weight_decay: of matrices and kernels; biases and normalisations are never decayed.
        warmup_epochs: of linear growth from 0 to the peak.
        decline: what follows: 'cosine', half of one back to 0, or 'none' (the released code).
        precision: of encoder and projector; the loss is always computed in float32. A CPU without
            instructions for bfloat16 computes in float32 as well.
        augment: how views are cut.
    """

    temperature: float = Field(default=0.1, gt=0)
    projector_hidden: int = Field(default=1024, ge=1)
    projector_out: int = Field(default=128, ge=2)
    optimizer: Literal["adamw", "adam"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    warmup_epochs: float = Field(default=2, ge=0)
    decline: Decline = "cosine"
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    augment: AugmentOptions = AugmentOptions()
