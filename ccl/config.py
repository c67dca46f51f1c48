"""Profiles: every knob of every experiment, as strictly checked YAML files in `configs/`."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import AfterValidator, Field, ValidationError, field_validator

from ccl import strategies
from ccl.cohorts import SourceOptions, states_sex, truths
from ccl.evaluation.finetuning import FinetuningOptions
from ccl.evaluation.probing import ProbingOptions
from ccl.evaluation.protocols import RANDOM
from ccl.generator.bank import BankOptions
from ccl.generator.finetuning import TuningOptions
from ccl.generator.fitting import GeneratorOptions
from ccl.generator.quality.options import QualityOptions
from ccl.objectives.dino import DinoOptions
from ccl.objectives.objective import ObjectiveOptions
from ccl.objectives.simclr import SimCLROptions
from ccl.options import Options

ROOT = Path(__file__).parent.parent
ObjectiveName = Literal["simclr", "dino"]
Strategy = Annotated[str, AfterValidator(strategies.known)]

CohortOptions = Annotated[SourceOptions, Field(discriminator="source")]


class EncoderName(NamedTuple):
    """What tells the encoders of an experiment apart."""

    objective: str
    strategy: str
    seed: int

    def __str__(self) -> str:
        return "-".join(map(str, self))


class PretrainingOptions(Options):
    """Which encoders are pretrained, and how.

    Attributes:
        strategies: objective ('simclr', 'dino') to the strategies it is trained with, some of
            `ccl.strategies.STRATEGIES` or none; those whose bank a cohort cannot have (no known
            truth, no stated sex) are left out there.
        seeds: pretraining seeds; every strategy is trained with each.
        simclr, dino: options of the objectives, their encoders among them.
    """

    strategies: Mapping[ObjectiveName, tuple[Strategy, ...]] = {
        "simclr": ("standard", "plus", "counterfactual", "oracle")
    }
    seeds: tuple[int, ...] = (0,)
    simclr: SimCLROptions = SimCLROptions()
    dino: DinoOptions = DinoOptions()

    def options(self, objective: str) -> ObjectiveOptions:
        """Options of an objective, by its name."""
        found: ObjectiveOptions = getattr(self, objective)
        return found

    @property
    def encoders(self) -> tuple[EncoderName, ...]:
        """Every encoder that is pretrained."""
        return tuple(
            EncoderName(objective, strategy, seed)
            for objective, strategies in self.strategies.items()
            for strategy in strategies
            for seed in self.seeds
        )

    def named(self, name: str) -> EncoderName:
        """The encoder or control of a name such as 'simclr-standard-0'.

        Raises:
            ValueError: there is none.
        """
        known = {str(encoder): encoder for encoder in (*self.encoders, *self.controls)}
        if name not in known:
            raise ValueError(f"there is no encoder '{name}'; there are {', '.join(known)}")
        return known[name]

    @property
    def controls(self) -> tuple[EncoderName, ...]:
        """Untrained encoders: the initial weights of every objective and seed."""
        return tuple(
            EncoderName(objective, RANDOM, seed)
            for objective, strategies in self.strategies.items()
            if strategies
            for seed in self.seeds
        )


class VariantOptions(Options):
    """Generators besides the one of `generator`, for what their quality buys.

    Attributes:
        early_share: of the epochs after which 'early' is stopped; at least one epoch is trained.
        tuning: how 'tuned' is finetuned.
    """

    early_share: float = Field(default=0.1, gt=0, lt=1)
    tuning: TuningOptions = TuningOptions()


class Sections(Options):
    """What every cohort of a profile shares, unless the cohort says otherwise."""

    generator: GeneratorOptions
    variants: VariantOptions = VariantOptions()
    bank: BankOptions = BankOptions()
    quality: QualityOptions = QualityOptions()
    pretraining: PretrainingOptions = PretrainingOptions()
    probing: ProbingOptions = ProbingOptions()
    finetuning: FinetuningOptions | None = FinetuningOptions()

    @field_validator("bank")
    @classmethod
    def _variable_is_left_alone(cls, bank: BankOptions) -> BankOptions:
        if "variable" in bank.model_fields_set:
            raise ValueError("the strategy decides on the variable (`ccl.strategies`); drop it")
        return bank


@dataclass(frozen=True)
class Experiment:
    """One profile applied to one cohort.

    Attributes:
        profile_name, cohort_name: its names.
        data_root: folder of the images, for cohorts that are read from files.
        root: folder of its runs.
        source: where the cohort comes from.
        beside: names of simulated cohorts of the same profile that stand in the same book.
    """

    profile_name: str
    cohort_name: str
    data_root: str | None
    root: Path
    source: SourceOptions
    generator: GeneratorOptions
    variants: VariantOptions
    bank: BankOptions
    quality: QualityOptions
    pretraining: PretrainingOptions
    probing: ProbingOptions
    finetuning: FinetuningOptions | None
    beside: tuple[str, ...] = ()


class _Source(Options):
    source: CohortOptions


def experiment(profile: str, cohort: str, data_root: str | None = None) -> Experiment:
    """Reads `configs/<profile>.yaml` and picks one of its cohorts.

    A cohort entry holds the options of its source; under `with`, what it changes in the profile's
    sections; under `beside`, names of simulated cohorts that stand in the same book.

    Raises:
        ValueError: no such profile or cohort, or an option that is unknown or out of range; names
            the file and the key.
    """
    path = ROOT / "configs" / f"{profile}.yaml"
    if not path.is_file():
        names = sorted(file.stem for file in path.parent.glob("*.yaml"))
        raise ValueError(f"{path.name} is not in configs/; profiles are {names}")
    content = yaml.safe_load(path.read_text())
    known = content.pop("cohorts", {})
    if cohort not in known:
        raise ValueError(f"{path.name}: cohort '{cohort}' is not in it; it has {sorted(known)}")
    chosen = dict(known[cohort])
    changes, beside = chosen.pop("with", {}), tuple(chosen.pop("beside", ()))
    try:
        source = _Source.model_validate({"source": chosen}).source
        sections = Sections.model_validate(_merged(content, changes))
    except ValidationError as error:
        raise ValueError(_explained(path, cohort, error)) from error
    if unknown := set(beside) - set(known):
        raise ValueError(f"{path.name}, cohort '{cohort}': beside: {sorted(unknown)} not in it")
    pretraining = _possible(sections.pretraining, source)
    runs = Path("runs") / profile / cohort
    fields = {field.name: getattr(sections, field.name) for field in _section_fields()}
    fields |= {"pretraining": pretraining, "beside": beside}
    return Experiment(profile, cohort, data_root, runs, source, **fields)


def _possible(pretraining: PretrainingOptions, source: SourceOptions) -> PretrainingOptions:
    """Without the strategies whose bank cannot be made of the source's images."""
    kept = {
        objective: tuple(name for name in names if _has_bank(source, strategies.bank_of(name)))
        for objective, names in pretraining.strategies.items()
    }
    return pretraining.model_copy(update={"strategies": kept})


def _has_bank(source: SourceOptions, bank: strategies.BankOf | None) -> bool:
    if bank is None:
        return True
    knows = bank.made_by != "cohort" or truths.known(source.source)
    return knows and (bank.variable != "sex" or states_sex(source))


def _section_fields() -> list[Any]:
    return [f for f in dataclasses.fields(Experiment) if f.name in Sections.model_fields]


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the leaves of `changes` put in their places."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        merged[key] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _explained(path: Path, cohort: str, error: ValidationError) -> str:
    lines = [
        f"  {'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
        for fault in error.errors()
    ]
    return "\n".join([f"{path.name}, cohort '{cohort}':", *lines])
