"""Options of the generator's training and finetuning, and of classifiers."""

from typing import Annotated, Literal, Self

from pydantic import Field

from ccl.encoders.options import EncoderOptions
from ccl.generator.hvae_options import HVAEOptions
from ccl.options import Options
from ccl.schedules import Decline

Coupling = Literal["gumbel-max", "monotone"]
Decay = Annotated[float, Field(ge=0, lt=1)]


class SeededOptions(Options):
    """Options of a training that can be repeated with other seeds of weights, batches and draws."""

    seed: int = 0

    def repeated(self, number: int) -> Self:
        """The options of a repetition; number 0 is the training itself."""
        return self.model_copy(update={"seed": self.seed + number})


class GeneratorOptions(SeededOptions):
    """How the generator is built and trained.

    Attributes:
        hvae: architecture.
        graph: variables, 'image' among them, to their parents; null is the paper's, in which the
            scanner and the sex are roots and parents of the image. Variables: 'scanner', 'sex',
            'age' (in groups) and 'label'.
        coupling: mechanism of variables that have parents, see `ccl.generator.tabular`.
        epochs: passes over as many draws as there are training images.
        batch_size: images per step, over all processes where several train as one.
        max_steps: an epoch has at most as many steps; None for a whole pass.
        learning_rate, betas, weight_decay: of AdamW.
        warmup_steps, decline: the learning rate grows linearly; then 'cosine' has it fall to 0 over
            the whole training, 'none' keeps it (the released code).
        beta: weight of the KL term (the paper: 1 for EMBED, 3 for PadChest).
        ema_decay: decay of the averaged weights, which are used after training.
        gradient_clip, gradient_skip: norm that gradients are scaled down to, and above which a step
            is left out.
        rare_scanner_weight: alpha; 0 draws images as they come, 1 every scanner equally often, and
            between the two shares are mixed (the released code: .5 for EMBED, 0 for PadChest).
        bfloat16: run the forward pass in mixed precision, on devices with instructions for it.
        compile: train the blocks through torch.compile, on a GPU (`ccl.compilation`).
    """

    hvae: HVAEOptions
    graph: dict[str, tuple[str, ...]] | None = None
    coupling: Coupling = "monotone"
    epochs: int = Field(ge=1)
    batch_size: int = Field(default=32, ge=1)
    max_steps: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    decline: Decline = "cosine"
    betas: tuple[Decay, Decay] = (0.9, 0.9)
    weight_decay: float = Field(default=1e-3, ge=0)
    warmup_steps: int = Field(default=100, ge=0)
    beta: float = Field(default=1.0, ge=0)
    ema_decay: Decay = 0.999
    gradient_clip: float = Field(default=350.0, gt=0)
    gradient_skip: float = Field(default=25_000.0, gt=0)
    rare_scanner_weight: float = Field(default=1.0, ge=0, le=1)
    bfloat16: bool = False
    compile: bool = False


class ClassifierOptions(SeededOptions):
    """How a classifier is trained.

    Attributes:
        encoder: its backbone.
        epochs, batch_size, learning_rate: of Adam, with a cosine decay.
        seed: of weights and batches; another than the generator's and the encoders'.
    """

    encoder: EncoderOptions = EncoderOptions()
    epochs: int = Field(default=8, ge=1)
    batch_size: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    seed: int = 4321


class TuningOptions(Options):
    """How a trained generator is finetuned.

    Attributes:
        predictor: classifier of scanner, sex, finding and age; never one of the judges.
        variables: that are intervened on, those that the graph lacks left out; of others the
            predictor does not see what was asked for.
        epochs, learning_rate: of the finetuning; the rest is as in the generator's training.
        multiplier_rate: step of the multiplier lambda, per nat per pixel of violation and step.
        damping: weight of the squared violation, which keeps lambda from oscillating.
        slack: nats per pixel that the free energy may rise.
    """

    predictor: ClassifierOptions = ClassifierOptions(seed=8765)
    variables: tuple[Literal["scanner", "sex"], ...] = Field(
        default=("scanner", "sex"), min_length=1
    )
    epochs: int = Field(default=3, ge=1)
    learning_rate: float = Field(default=2e-4, gt=0)
    multiplier_rate: float = Field(default=1.0, ge=0)
    damping: float = Field(default=100.0, ge=0)
    slack: float = Field(default=0.0, ge=0)
