"""Profiles: every knob of every experiment, as strictly checked YAML files in `configs/`."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from ccl.cohorts import SourceOptions, truths
from ccl.evaluation.probing import ProbingOptions
from ccl.generator.bank import BankOptions
from ccl.generator.fitting import GeneratorOptions
from ccl.generator.quality.effectiveness import ScannerClassifierOptions
from ccl.objectives.encoder import EncoderOptions
from ccl.objectives.simclr import SimCLROptions
from ccl.options import Options

ROOT = Path(__file__).parent.parent
STRATEGIES = ("standard", "plus", "counterfactual", "oracle")

CohortOptions = Annotated[SourceOptions, Field(discriminator="source")]


class PretrainingOptions(Options):
    """Which encoders are pretrained, and how.

    Attributes:
        strategies: some of `STRATEGIES`; 'oracle' is left out where no truth is known.
        seeds: pretraining seeds; every strategy is trained with each.
        encoder: the backbone.
        simclr: the objective.
    """

    strategies: tuple[str, ...] = STRATEGIES
    seeds: tuple[int, ...] = (0,)
    encoder: EncoderOptions = EncoderOptions()
    simclr: SimCLROptions = SimCLROptions()


class Sections(Options):
    """What every cohort of a profile shares, unless the cohort says otherwise."""

    generator: GeneratorOptions
    bank: BankOptions = BankOptions()
    classifier: ScannerClassifierOptions = ScannerClassifierOptions()
    pretraining: PretrainingOptions = PretrainingOptions()
    probing: ProbingOptions = ProbingOptions()


@dataclass(frozen=True)
class Experiment:
    """One profile applied to one cohort.

    Attributes:
        profile_name, cohort_name: its names.
        data_root: folder of the images, for cohorts that are read from files.
        root: folder of its runs.
        source: where the cohort comes from.
    """

    profile_name: str
    cohort_name: str
    data_root: str | None
    root: Path
    source: SourceOptions
    generator: GeneratorOptions
    bank: BankOptions
    classifier: ScannerClassifierOptions
    pretraining: PretrainingOptions
    probing: ProbingOptions


class _Source(Options):
    source: CohortOptions


def experiment(profile: str, cohort: str, data_root: str | None = None) -> Experiment:
    """Reads `configs/<profile>.yaml` and picks one of its cohorts.

    A cohort entry holds the options of its source and, under `with`, what it changes in the
    profile's sections.

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
    changes = chosen.pop("with", {})
    try:
        source = _Source.model_validate({"source": chosen}).source
        sections = Sections.model_validate(_merged(content, changes))
    except ValidationError as error:
        raise ValueError(_explained(path, cohort, error)) from error
    pretraining = sections.pretraining
    if unknown := set(pretraining.strategies) - set(STRATEGIES):
        raise ValueError(f"{path.name}: pretraining.strategies: {sorted(unknown)} not known")
    if not truths.known(source.source):
        real = tuple(name for name in pretraining.strategies if name != "oracle")
        pretraining = pretraining.model_copy(update={"strategies": real})
    runs = Path("runs") / profile / cohort
    fields = {field.name: getattr(sections, field.name) for field in _section_fields()}
    return Experiment(
        profile, cohort, data_root, runs, source, **{**fields, "pretraining": pretraining}
    )


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
