"""Profiles: every knob of every experiment, as strictly checked YAML files in `configs/`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field, ValidationError, field_validator

from ccl.generator import hvae_options
from ccl.generator.options import GeneratorOptions, TuningOptions
from ccl.objectives import dino_options
from ccl.objectives.dino_options import DinoOptions
from ccl.objectives.objective import ObjectiveOptions
from ccl.objectives.simclr_options import SimCLROptions
from ccl.options import Options
from companion import ROOT, strategies
from companion.cohorts import truths
from companion.cohorts.bank import BankOptions
from companion.cohorts.importing.release import ImportOptions
from companion.cohorts.registry import OPTIONS, SourceOptions, states_sex
from companion.evaluation.options import (
    ConvergenceOptions,
    FinetuningOptions,
    ProbingOptions,
    Seeds,
    distinct,
)
from companion.experiments import profiles
from companion.quality.options import QualityOptions
from companion.strategies import INITIAL, RANDOM, Objective

Strategy = Annotated[str, AfterValidator(strategies.known)]
Strategies = Annotated[tuple[Strategy, ...], AfterValidator(distinct)]

# Of a cohort's entry; all other keys are the source's options.
_OUR_KEYS = ("beside", "data_root", "external")


class EncoderName(NamedTuple):
    """What tells the encoders of an experiment apart."""

    objective: str
    strategy: str
    seed: int

    def __str__(self) -> str:
        return "-".join(map(str, self))

    def columns(self) -> dict[str, Any]:
        """The columns of `results.csv` that name it."""
        names = ("objective", "strategy", "pretrain_seed")
        return dict(zip(names, self, strict=True))


class PretrainingOptions(Options):
    """Which encoders are pretrained, and how.

    Attributes:
        strategies: objective ('simclr', 'dino') to the strategies it is trained with, some of
            `STRATEGIES` or none; those whose bank a cohort cannot have (no known truth, one
            sex) are left out there, which `Experiment.omissions` says.
        seeds: pretraining seeds; every strategy is trained with each.
        fewer_seeds: objectives that are trained with the first so many of them alone.
        generator_per_seed: every pretraining seed has a generator of its own, trained with that
            seed, so that intervals over seeds cover its training too; otherwise all share one.
        simclr, dino: options of the objectives, their encoders among them.
        convergence: how a pretraining is watched.
    """

    strategies: Mapping[Objective, Strategies] = {
        "simclr": ("standard", "plus", "counterfactual", "oracle")
    }
    seeds: Seeds = (0,)
    fewer_seeds: Mapping[Objective, int] = {}
    generator_per_seed: bool = False
    simclr: SimCLROptions = SimCLROptions()
    dino: DinoOptions = DinoOptions()
    convergence: ConvergenceOptions = ConvergenceOptions()

    def options(self, objective: str) -> ObjectiveOptions:
        """Options of an objective, by its name."""
        options: ObjectiveOptions = getattr(self, objective)
        return options

    @property
    def initial_weights(self) -> dict[str, str | None]:
        """Objective to what its encoders start from, as in `EncoderOptions.pretrained`."""
        return {name: self.options(name).encoder.pretrained for name in self.strategies}

    @property
    def encoders(self) -> tuple[EncoderName, ...]:
        """Every encoder that is pretrained."""
        return tuple(
            EncoderName(objective, strategy, seed)
            for objective, strategies in self.strategies.items()
            for strategy in strategies
            for seed in self.seeds_of(objective)
        )

    @property
    def banks(self) -> list[str]:
        """Names of the banks that pairs are drawn from, in the order of `BANKS` and seeds."""
        needed = {bank for name in self.encoders if (bank := self.bank_of(name)) is not None}
        kinds = list(strategies.BANKS)
        ordered = sorted(
            map(strategies.split_seed, needed), key=lambda each: (kinds.index(each[0]), each[1])
        )
        return [strategies.with_seed(*each) for each in ordered]

    def bank_of(self, name: EncoderName) -> str | None:
        """Name of the bank that an encoder's pairs are drawn from; None where they need none."""
        bank = strategies.STRATEGIES[name.strategy].bank
        if bank is None or strategies.BANKS[bank].variant is None or not self.generator_per_seed:
            return bank
        return strategies.with_seed(bank, name.seed)

    def named(self, name: str) -> EncoderName:
        """The encoder or control of a name such as 'simclr-standard-0'.

        Raises:
            ValueError: there is none.
        """
        by_name = {str(encoder): encoder for encoder in (*self.encoders, *self.controls)}
        if name not in by_name:
            raise ValueError(f"there is no encoder '{name}'; there are {', '.join(by_name)}")
        return by_name[name]

    @property
    def controls(self) -> tuple[EncoderName, ...]:
        """Encoders that see no pair: of every objective and seed the initial and random weights."""
        return tuple(
            EncoderName(objective, control, seed)
            for objective, strategies in self.strategies.items()
            if strategies
            for control in dict.fromkeys((self.start(objective), RANDOM))
            for seed in self.seeds_of(objective)
        )

    def seeds_of(self, objective: Objective) -> tuple[int, ...]:
        """The pretraining seeds of an objective."""
        return self.seeds[: self.fewer_seeds.get(objective)]

    def start(self, objective: str) -> str:
        """The control that an objective's encoders start as: 'initial' weights, or 'random'."""
        return RANDOM if self.options(objective).encoder.pretrained is None else INITIAL


class VariantOptions(Options):
    """Generators besides the one of `generator`, for what their quality buys.

    Attributes:
        early_share: of the epochs after which 'early' is stopped; at least one epoch is trained.
        tuning: how 'tuned' is finetuned.
    """

    early_share: float = Field(default=0.1, gt=0, lt=1)
    tuning: TuningOptions = TuningOptions()


class LengthOptions(Options):
    """Trainings that show how long a pretraining has to be (`companion.experiments.length`).

    Attributes:
        epochs: of one schedule.
        every: epochs between two probes on validation images.
        strategies: whose pairs are compared.
        seeds: of the trainings.
    """

    epochs: int = Field(default=160, ge=1)
    every: int = Field(default=4, ge=1)
    strategies: Strategies = ("standard", "oracle")
    seeds: Seeds = (0,)


class Sections(Options):
    """What every cohort of a profile shares, unless the cohort says otherwise.

    Attributes:
        remark: what a reader of its results must know; stands on every page that shows some.
        finetuning: None where nothing is finetuned, `length` where nothing is trained for long.
    """

    remark: str = ""
    generator: GeneratorOptions
    variants: VariantOptions = VariantOptions()
    bank: BankOptions = BankOptions()
    quality: QualityOptions = QualityOptions()
    pretraining: PretrainingOptions = PretrainingOptions()
    probing: ProbingOptions = ProbingOptions()
    finetuning: FinetuningOptions | None = FinetuningOptions()
    length: LengthOptions | None = None

    @field_validator("bank")
    @classmethod
    def _variable_is_left_alone(cls, bank: BankOptions) -> BankOptions:
        if "variable" in bank.model_fields_set:
            raise ValueError(
                "the strategy decides on the variable (`companion.strategies`); drop it"
            )
        return bank


class Experiment(Sections):
    """One profile applied to one cohort: the profile's sections, as the cohort has them, and more.

    Attributes:
        profile_name, cohort_name: its names.
        data_root: folder of the images, for cohorts that are read from files.
        root: folder of its runs.
        source: where the cohort comes from.
        beside: names of further cohorts of the same profile that stand in the same book.
        external: names of further cohorts of the same profile that the encoders are tested on.
        left_out: strategies that the profile asks for and the cohort cannot have, and why not.
    """

    profile_name: str
    cohort_name: str
    data_root: str | None
    root: Path
    source: SourceOptions
    beside: tuple[str, ...] = ()
    external: tuple[str, ...] = ()
    left_out: Mapping[str, str] = {}

    @property
    def finetuned(self) -> tuple[EncoderName, ...]:
        """The encoders that are finetuned; of controls only what all others start from.

        Finetuned, this is the supervised baseline.
        """
        if self.finetuning is None:
            return ()
        named = self.pretraining
        starts = (c for c in named.controls if c.strategy == named.start(c.objective))
        return (*named.encoders, *starts)

    @property
    def omissions(self) -> list[str]:
        """A sentence for each strategy that is left out."""
        return [f"Strategy '{name}' is left out: {why}." for name, why in self.left_out.items()]


def experiment(profile: str, cohort: str, data_root: str | None = None) -> Experiment:
    """The experiment of `configs/<profile>.yaml` on one of its cohorts.

    A cohort entry holds the options of its source; under `with`, what it changes in the profile's
    sections; under `data_root`, the folder of its images where the caller gives none; under
    `beside`, names of further cohorts that stand in the same book, and under `external`, of those
    that the encoders are tested on with labels of their own, as far as their folders are there. A
    profile may name another as its `base`, and then says only what it changes in that.

    A cohort that can only test encoders pretrains none.

    Raises:
        ValueError: no such profile or cohort, or an option that is unknown or out of range; names
            the file and the key.
    """
    cohort_profile = profiles.read(ROOT / "configs", profile, cohort)
    # Several cohorts may be of one source: each is called what the profile calls it.
    chosen = {"name": cohort}
    chosen |= {k: value for k, value in cohort_profile.entry.items() if k not in _OUR_KEYS}
    place = f"{profile}.yaml, cohort '{cohort}'"
    if chosen.get("source") not in OPTIONS:
        raise ValueError(
            f"{place}: source: '{chosen.get('source', '')}' is not one of {', '.join(OPTIONS)}"
        )
    try:
        source = OPTIONS[chosen["source"]].model_validate(chosen)
        sections = Sections.model_validate(cohort_profile.sections)
    except ValidationError as error:
        faults = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ValueError("\n".join([f"{place}:", *faults])) from error
    try:
        _require_fit(source, sections)
        _require_independent_judges(sections)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
    wanted = sections.pretraining.strategies
    named = dict.fromkeys(name for names in wanted.values() for name in names)
    obstacles = {name: _obstacle(source, strategies.bank_of(name)) for name in named}
    left_out = {name: why for name, why in obstacles.items() if why}
    possible = {
        objective: tuple(name for name in names if name not in left_out)
        for objective, names in wanted.items()
    }
    pretraining = sections.pretraining.model_copy(update={"strategies": possible})
    return Experiment(
        profile_name=profile,
        cohort_name=cohort,
        data_root=data_root or cohort_profile.data_root_of(cohort),
        root=Path("runs") / profile / cohort,
        source=source,
        beside=cohort_profile.available(cohort_profile.entry.get("beside", ())),
        external=cohort_profile.available(cohort_profile.entry.get("external", ())),
        left_out=left_out,
        **dict(sections) | {"pretraining": pretraining},
    )


def _require_fit(source: SourceOptions, sections: Sections) -> None:
    """Refuses models that cannot take the cohort's frame before anything is computed."""
    frame = source.shape if isinstance(source, ImportOptions) else source.frame
    hvae_options.require_fit(sections.generator.hvae, frame)
    if sections.pretraining.strategies.get("dino"):
        dino_options.require_fit(sections.pretraining.dino, frame)


def _require_independent_judges(sections: Sections) -> None:
    """Refuses judges that could share the blind spots of what they judge."""
    others = {"variants.tuning.predictor": sections.variants.tuning.predictor.encoder}
    for objective, named in sections.pretraining.strategies.items():
        if named:
            others[f"pretraining.{objective}"] = sections.pretraining.options(objective).encoder
    judge = sections.quality.classifier.encoder.architecture
    for place, encoder in others.items():
        if encoder.architecture == judge:
            raise ValueError(
                f"quality.classifier.encoder.architecture: {place} has '{judge}' as well, and a "
                "judge must not share the blind spots of what it judges; name another, "
                "e.g. 'test_byobnet' for small images or 'regnety_008'"
            )


def _obstacle(source: SourceOptions, bank: strategies.BankOf | None) -> str:
    """What keeps a cohort of the source from having pairs of a bank; '' if nothing does."""
    if isinstance(source, ImportOptions) and source.evaluation_only:
        return "the cohort names fewer than two scanners and can only test encoders"
    if bank is not None and bank.made_by == "cohort" and not truths.knows_truth(source):
        return "the true counterfactuals of the images are not known"
    if bank is not None and bank.variable == "sex" and not states_sex(source):
        return f"it needs women and men, and the images state {', '.join(source.sexes) or 'no sex'}"
    return ""
