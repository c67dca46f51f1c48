"""Options that every objective has in common."""

from pydantic import Field

from ccl.encoders.options import EncoderOptions
from ccl.options import Options


class ObjectiveOptions(Options):
    """Options that every objective has; its own come on top.

    Attributes:
        encoder: the backbone that is pretrained.
        epochs: passes over the training rows.
        batch_size: pairs per step, N; over all processes, where several train as one.
        max_steps: an epoch has at most as many steps; None for a whole pass.
        compile: train the backbone through torch.compile, on a GPU (`ccl.compilation`).
    """

    encoder: EncoderOptions = EncoderOptions()
    epochs: int = Field(default=50, ge=1)
    batch_size: int = Field(default=256, ge=2)
    max_steps: int | None = Field(default=None, ge=1)
    compile: bool = False
