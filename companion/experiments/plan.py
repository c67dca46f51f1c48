"""What a build consists of, and one small file that tells the workflow when to look again.

Every step of the workflow has `runs/<profile>/<cohort>/plan.json` as an input, and `refresh` writes
it only when what it depends on changed: the profile, the code, the tables of the images. So a build
with nothing changed calls no step, whatever the dates of the files, for instance after a fresh
checkout.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from companion import ROOT
from companion.cohorts.importing import sources
from companion.engine.digests import code_digest
from companion.engine.files import file_digest, write_atomically
from companion.engine.pointers import read_pointer
from companion.engine.storage import DamagedFileError, read_json
from companion.experiments import config, profiles
from companion.experiments.cohort import tables
from companion.experiments.config import Experiment
from companion.strategies import generators_to_judge

# The modules of the steps, in the order of the data.
STEPS = tuple(
    f"companion.experiments.{name}"
    for name in (
        *("cohort", "generator", "bank", "quality"),
        *("pretraining", "evaluation", "finetuning", "results", "length"),
    )
)
# What each notebook shows: the steps that it needs finished. 'pretraining' means every encoder;
# 'variants' the quality of every further generator that an encoder's pairs come from.
NOTEBOOKS: dict[str, tuple[str, ...]] = {
    "cohort": ("cohort",),
    "generator": ("quality",),
    "explorer": ("generator",),
    "pretraining": ("pretraining",),
    "probing": ("results",),
    "projections": ("results",),
    "subgroups": ("results",),
}
# The same of notebooks that teach by computing, which the book has of its main cohort only.
LECTURES: dict[str, tuple[str, ...]] = {
    "objective": ("bank-scanner",),
    "ablation": ("results", "quality", "variants"),
    "record": (),
}
# Files in the repository that a notebook shows beside steps.
_KEPT = {"record": "study/**/*.*"}
# The notebook of a cohort that can only test encoders.
EVALUATION_ONLY = ("cohort",)


# What pages are drawn with and no step needs: a change calls the notebooks again, and only them.
_ASSETS = (
    "companion/book/widgets/*.css",
    "companion/book/widgets/*.js",
    "companion/book/templates/*",
)
_DRAWING = (
    "companion/book/*.py",
    "companion/book/figures/*.py",
    "companion/book/widgets/*.py",
    "companion/claims/*.py",
    "companion/engine/pointers.py",
    "companion/evaluation/collapse.py",
    "companion/evaluation/projections.py",
    "companion/experiments/ablation.py",
    "companion/experiments/projections.py",
)


def drawing_files() -> list[Path]:
    """Files that notebooks draw with, beside the steps that they show."""
    return _files(*_DRAWING, *_ASSETS)


def repository_files(notebook: str, root: Path = ROOT) -> list[Path]:
    """Files in the repository, neither code nor steps, that a notebook shows."""
    return sorted(root.glob(_KEPT[notebook])) if notebook in _KEPT else []


def assets_digest(notebook: str) -> str:
    """Digest of the files that a notebook's page contains and that are no code."""
    files = [*_files(*_ASSETS), *repository_files(notebook)]
    return hashlib.sha256("".join(map(file_digest, files)).encode()).hexdigest()


def _files(*patterns: str) -> list[Path]:
    return [file for pattern in patterns for file in sorted(ROOT.glob(pattern))]


def folder(profile: str, cohort: str) -> Path:
    """Where the runs of a profile and cohort lie, relative to the repository."""
    return Path("runs") / profile / cohort


def notebooks(plan: Mapping[str, Any], *, lectures: bool) -> tuple[str, ...]:
    """Names of the notebooks that an experiment can show, with those that teach by computing."""
    if not plan["encoders"]:
        return EVALUATION_ONLY
    return (*NOTEBOOKS, *(LECTURES if lectures else ()))


def pointers(notebook: str, plan: Mapping[str, Any]) -> list[str]:
    """Names of the pointers to the steps that a notebook shows."""
    several = {
        "pretraining": [f"pretraining-{name}" for name in plan["encoders"]],
        "variants": variants(plan),
    }
    steps = (NOTEBOOKS | LECTURES)[notebook]
    return [name for step in steps for name in several.get(step, [step])]


def variants(plan: Mapping[str, Any]) -> list[str]:
    """Names of the pointers to the quality of the further generators behind the encoders."""
    return [f"quality-{name}" for name in generators_to_judge(plan["banks"].values())[1:]]


def banks(plan: Mapping[str, Any], encoder: str) -> list[str]:
    """Name of the pointer to the bank of an encoder's pairs; none where it needs no bank."""
    return [f"bank-{plan['banks'][encoder]}"] if encoder in plan["banks"] else []


def contents(experiment: Experiment) -> dict[str, Any]:
    """The plan of an experiment, as `ccl plan` prints it.

    Returns:
        Names of `encoders` such as 'simclr-standard-0' (a cohort without any can only test those of
        others), of the `banks` that their pairs are drawn from, of `controls`, of what is
        `finetuned`, of further cohorts `beside` it in the book, of `external` ones that encoders
        are tested on, of `tables` in the data root that say which images there are; `omissions`, a
        sentence for each strategy that the cohort cannot have; and names of the steps that training
        for long needs, `length`.
    """
    pretraining = experiment.pretraining
    banks = {str(name): pretraining.bank_of(name) for name in pretraining.encoders}
    return {
        "encoders": [str(name) for name in pretraining.encoders],
        "banks": {encoder: bank for encoder, bank in banks.items() if bank is not None},
        "controls": [str(name) for name in pretraining.controls],
        "finetuned": [str(name) for name in experiment.finetuned],
        "beside": list(experiment.beside),
        "external": list(experiment.external),
        "tables": list(tables(experiment)),
        "omissions": experiment.omissions,
        "length": _length(experiment),
    }


def _length(experiment: Experiment) -> list[str]:
    """Names of the pointers to what the step `length` needs; none where it is not asked for."""
    length = experiment.length
    if length is None:
        return []
    wanted = {"strategies": {"simclr": length.strategies}, "seeds": length.seeds}
    banks = experiment.pretraining.model_copy(update=wanted).banks
    return ["cohort", *(f"bank-{bank}" for bank in banks)]


def refresh(profile: str, cohort: str, data_root: str | None) -> dict[str, Any]:
    """The plan of a build (`contents`); `plan.json` is written if it or what it depends on changed.

    Raises:
        ValueError: the profile or the cohort is unknown or faulty (the message says what).
    """
    experiment = config.experiment(profile, cohort, data_root)
    file = folder(profile, cohort) / "plan.json"
    try:
        previous = read_json(file)
    except (FileNotFoundError, DamagedFileError):  # it is made in seconds
        previous = {}
    plan = contents(experiment)
    current = previous | {
        "profile": [file_digest(path) for path in profiles.files(ROOT / "configs", profile)],
        "code": code_digest(*STEPS),
        "data_root": data_root or "",
        "plan": plan,
    }
    images = experiment.data_root
    # Of a disk that is not mounted, nothing is known to have changed.
    if images is None or not sources.is_absent(Path(images).expanduser()):
        current["tables"] = _stamps(images, plan["tables"])
    if current != previous:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps(current, indent=1))
    return plan


def check_sources(profile: str, cohort: str, data_root: str | None) -> None:
    """Touches `plan.json` where the files of a finished cohort changed, so that steps are called.

    Sizes and dates are compared; the step, once called, compares what the files hold.
    """
    root = folder(profile, cohort)
    images = data_root or profiles.read(ROOT / "configs", profile, cohort).data_root_of(cohort)
    if images is None or not (root / "steps" / "cohort.json").is_file():
        return
    try:
        imported, data_folder = read_pointer(root, "cohort").folder, Path(images).expanduser()
    except FileNotFoundError:  # whoever needs the folder makes it again
        return
    if sources.is_absent(data_folder):
        sources.warn_if_absent(imported, data_folder)
    elif sources.touched_sources(imported, data_folder):
        # Snakemake takes a small file with a new date and the old content for unchanged.
        touched = read_json(root / "plan.json") | {"noticed": time.time_ns()}
        write_atomically(root / "plan.json", json.dumps(touched, indent=1))


def _stamps(data_root: str | None, tables: Sequence[str]) -> dict[str, list[int]]:
    """Size and date of the tables that describe the images, so that an edited one is noticed."""
    root = Path(data_root or "").expanduser()
    stats = {name: (root / name).stat() for name in tables if (root / name).is_file()}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}
