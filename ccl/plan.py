"""What a build consists of, as one small file that tells the workflow when to look again.

Reading a profile imports the models and takes seconds. `refresh` therefore keeps the answer in
`runs/<profile>/<cohort>/plan.json` beside everything it depends on, and writes the file only when
one of these changed. Every step of the workflow has the file as an input: a build with nothing
changed calls no step, whatever the dates of the files, for instance after a fresh checkout.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ccl.files import write_atomically
from ccl.runs import code_digest
from ccl.strategies import GENERATORS, STRATEGIES

ROOT = Path(__file__).parent.parent


# What each notebook shows: the steps that it needs finished. 'evaluate' means every pretrained
# encoder, whose evaluation is done in one go with its pretraining; 'variants' the quality of every
# further generator that an encoder's pairs come from.
NOTEBOOKS: dict[str, tuple[str, ...]] = {
    "cohort": ("cohort",),
    "generator": ("quality",),
    "explorer": ("generator",),
    "pretraining": ("evaluate",),
    "probing": ("results",),
    "projections": ("results",),
    "subgroups": ("results",),
}
# The same of notebooks that teach by computing, which the book has of its main cohort only.
LECTURES: dict[str, tuple[str, ...]] = {
    "objective": ("bank-scanner",),
    "ablation": ("results", "quality", "variants"),
}


def folder(profile: str, cohort: str) -> Path:
    """Where the runs of a profile and cohort lie, relative to the repository."""
    return Path("runs") / profile / cohort


def pointers(notebook: str, plan: Mapping[str, Any]) -> list[str]:
    """Names of the pointers to the steps that a notebook shows."""
    several = {"evaluate": evaluated(plan["encoders"]), "variants": variants(plan["encoders"])}
    steps = (NOTEBOOKS | LECTURES)[notebook]
    return [name for step in steps for name in several.get(step, [step])]


def evaluated(encoders: Sequence[str]) -> list[str]:
    """Names of the pointers to the evaluation of some encoders."""
    return [f"evaluate-{name}" for name in encoders]


def variants(encoders: Sequence[str]) -> list[str]:
    """Names of the pointers to the quality of the further generators behind some encoders."""
    found = {name.removeprefix("bank-") for encoder in encoders for name in banks(encoder)}
    return [f"quality-{name}" for name in GENERATORS[1:] if name in found]


def banks(encoder: str) -> list[str]:
    """Name of the pointer to the bank of an encoder's pairs; none where it needs no bank."""
    _, strategy, _ = encoder.split("-")
    name = STRATEGIES[strategy].bank if strategy in STRATEGIES else None  # controls have no pairs
    return [] if name is None else [f"bank-{name}"]


def refresh(profile: str, cohort: str, data_root: str | None) -> dict[str, Any]:
    """The plan of a build, made anew only if code, profile or data changed.

    Args:
        profile: name of a file in `configs/`.
        cohort: name of a cohort in that profile.
        data_root: folder of the images, where the cohort needs one.

    Returns:
        What `ccl plan` prints: {"encoders": [...], "controls": [...], "beside": [...]}, names of
        encoders such as 'simclr-standard-0', and of further cohorts in the same book.

    Raises:
        ValueError: the profile or the cohort is unknown or faulty (the message says what).
    """
    asked = {
        "profile": _digest(ROOT / "configs" / f"{profile}.yaml"),
        "code": code_digest("ccl.steps"),
        "data_root": data_root or "",
        "tables": _tables(data_root),
    }
    file = folder(profile, cohort) / "plan.json"
    known: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    if known.get("asked") != asked:
        known = {"asked": asked, "plan": _ask(profile, cohort, data_root)}
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps(known, indent=1))
    plan: dict[str, Any] = known["plan"]
    return plan


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "missing"


def _tables(data_root: str | None) -> dict[str, list[int]]:
    """Size and date of the tables that describe the images, so that an edited one is noticed."""
    if not data_root:
        return {}
    tables = sorted(Path(data_root).expanduser().glob("*.csv"))
    return {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in tables}


def _ask(profile: str, cohort: str, data_root: str | None) -> dict[str, Any]:
    """Asks another process, so that the workflow itself stays free of the models."""
    options = ["--profile", profile, "--cohort", cohort]
    options += ["--data-root", data_root] if data_root else []
    answer = subprocess.run(
        [sys.executable, "-m", "ccl", "plan", *options], capture_output=True, text=True
    )
    if answer.returncode != 0:
        raise ValueError(answer.stderr.strip())
    plan: dict[str, Any] = json.loads(answer.stdout)
    return plan
