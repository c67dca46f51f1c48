"""Profiles: every knob of every experiment, as strictly checked YAML files in `configs/`."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import Field, ValidationError

from ccl.cohorts import SourceOptions, truths
from ccl.cohorts.image_files import FrameOptions
from ccl.evaluation.finetuning import FinetuningOptions
from ccl.evaluation.probing import ProbingOptions
from ccl.evaluation.protocols import RANDOM
from ccl.generator import hvae
from ccl.generator.bank import BankOptions
from ccl.generator.fitting import GeneratorOptions
from ccl.generator.quality.options import QualityOptions
from ccl.objectives import dino
from ccl.objectives.dino import DinoOptions
from ccl.objectives.objective import ObjectiveOptions
from ccl.objectives.simclr import SimCLROptions
from ccl.options import Options

ROOT = Path(__file__).parent.parent
ObjectiveName = Literal["simclr", "dino"]
Strategy = Literal["standard", "plus", "counterfactual", "oracle"]
STRATEGIES: tuple[Strategy, ...] = ("standard", "plus", "counterfactual", "oracle")

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
            `STRATEGIES` or none; 'oracle' is left out where no truth is known.
        seeds: pretraining seeds; every strategy is trained with each.
        simclr, dino: options of the objectives, their encoders among them.
    """

    strategies: Mapping[ObjectiveName, tuple[Strategy, ...]] = {"simclr": STRATEGIES}
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


class Sections(Options):
    """What every cohort of a profile shares, unless the cohort says otherwise."""

    generator: GeneratorOptions
    bank: BankOptions = BankOptions()
    quality: QualityOptions = QualityOptions()
    pretraining: PretrainingOptions = PretrainingOptions()
    probing: ProbingOptions = ProbingOptions()
    finetuning: FinetuningOptions | None = FinetuningOptions()


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
    content = _read(path)
    known = _section(content.pop("cohorts", None), f"{path.name}: cohorts")
    if cohort not in known:
        raise ValueError(f"{path.name}: cohort '{cohort}' is not in it; it has {sorted(known)}")
    chosen = _section(known[cohort], f"{path.name}: cohort '{cohort}'")
    changes, beside = chosen.pop("with", {}), tuple(chosen.pop("beside", ()))
    try:
        source = _Source.model_validate({"source": chosen}).source
        sections = Sections.model_validate(_merged(content, changes))
    except ValidationError as error:
        raise ValueError(_explained(path, cohort, error)) from error
    if unknown := set(beside) - set(known):
        raise ValueError(f"{path.name}, cohort '{cohort}': beside: {sorted(unknown)} not in it")
    try:
        _require_fit(source, sections)
    except ValueError as error:
        raise ValueError(f"{path.name}, cohort '{cohort}': {error}") from error
    pretraining = sections.pretraining
    if not truths.known(source.source):
        pretraining = _without_oracle(pretraining)
    runs = Path("runs") / profile / cohort
    fields = {field.name: getattr(sections, field.name) for field in _section_fields()}
    fields |= {"pretraining": pretraining, "beside": beside}
    return Experiment(profile, cohort, data_root, runs, source, **fields)


def _read(path: Path) -> dict[str, Any]:
    """The sections of a profile."""
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1}" if place is not None else ""
        problem = getattr(error, "problem", None) or error
        raise ValueError(f"{path.name}{line}: this is no YAML: {problem}") from error
    return _section(content, path.name)


def _section(content: Any, what: str) -> dict[str, Any]:
    """A copy of what has to be a mapping."""
    if not isinstance(content, Mapping):
        kind = "empty" if content is None else f"a {type(content).__name__}"
        raise ValueError(f"{what} is {kind}; expected lines of `key: value`")
    return dict(content)


def _require_fit(source: SourceOptions, sections: Sections) -> None:
    """Refuses models that cannot take the cohort's frame before anything is computed."""
    frame = source.shape if isinstance(source, FrameOptions) else source.frame
    hvae.require_fit(sections.generator.hvae, frame)
    if sections.pretraining.strategies.get("dino"):
        dino.require_fit(sections.pretraining.dino, frame)


def _without_oracle(pretraining: PretrainingOptions) -> PretrainingOptions:
    kept = {
        objective: tuple(name for name in strategies if name != "oracle")
        for objective, strategies in pretraining.strategies.items()
    }
    return pretraining.model_copy(update={"strategies": kept})


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
