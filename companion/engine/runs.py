"""Runs: step results in folders named by the digest of everything that they depend on.

`<root>/<step>/<digest>/` where the digest covers the step's options, the content of its inputs and
the code that it reaches. A step works in `<digest>.partial`, which is renamed when whole:
a killed run leaves no half result, and goes on from its checkpoints. A finished one is loaded.
"""

import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Self

from ccl import distributed
from ccl.files import CHECKPOINTS, HISTORY_FILE
from ccl.options import Options
from companion import ROOT
from companion.engine.clean_environment import clean
from companion.engine.digests import code_digest, function_digest
from companion.engine.files import explain_full_disk, file_digest, lock, write_atomically
from companion.engine.storage import RECORD, DamagedFileError, read_json

logger = logging.getLogger(__name__)

REPORTED_PACKAGES = ("torch", "torchvision", "lightning", "timm", "numpy", "scikit-learn", "pandas")


@dataclass(frozen=True)
class Run:
    """A finished step.

    Attributes:
        folder: its results.
        record: the parsed `run.json`.
    """

    folder: Path
    record: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Digest of everything that the results depend on."""
        return str(self.record["digest"])

    @property
    def content(self) -> str:
        """Digest of the results themselves, whatever code made them; how long it took is none."""
        files = {
            name: digest
            for name, digest in self.record["checksums"].items()
            if Path(name).name != HISTORY_FILE
        }
        return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The finished run in a folder.

        Raises:
            DamagedFileError: its record is not what was written.
        """
        return cls(folder, read_json(folder / RECORD))


@dataclass(frozen=True)
class Step:
    """A step to be run.

    Attributes:
        root: folder of the runs of one profile and cohort.
        name: name of the step, e.g. 'generator'.
        options: JSON-able description of every option that the results depend on.
        inputs: name to the finished runs that the step reads.
        modules: those that do the work; their code and all that they import is in the digest.
        functions: those that do the work, with the functions of their files that they call; what
            these import is in `modules` or, as other steps, among the inputs.
        label: shown beside the name, e.g. the strategy and the seed.
        shared: processes that work as one compute it together; otherwise the first does, alone.
    """

    root: Path
    name: str
    options: Mapping[str, Any]
    inputs: Mapping[str, Run]
    modules: tuple[str, ...]
    functions: tuple[Callable[..., Any], ...] = ()
    label: str = ""
    shared: bool = False

    @property
    def digest(self) -> str:
        """16 hexadecimal digits over options, the content of the inputs, and code."""
        parts = {
            "step": self.name,
            "options": self.options,
            "inputs": {name: run.content for name, run in self.inputs.items()},
            "code": [code_digest(*self.modules), function_digest(*self.functions)],
        }
        text = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """Where the finished results lie."""
        return self.root / self.name / self.digest

    def run(self, compute: Callable[[Path], Mapping[str, Any] | None]) -> Run:
        """Loads the finished run, or computes it.

        Of processes that work as one, all call it and all return once it is finished. The first
        holds the lock and renames the folder; one that fails is left to end the others.

        Args:
            compute: fills the folder that it is given, which may hold its own unfinished work;
                returns what is worth recording beside the results. Where the step is shared, it
                writes results in the first process only.

        Raises:
            DiskFullError: there is no room for the results; what is done stays.
            DamagedFileError: the record of the finished run is not what was written.
        """
        folder = self.folder
        with explain_full_disk(self.root):
            self._ensure(folder, compute)
        return Run.load(folder)

    def _ensure(self, folder: Path, compute: Callable[[Path], Mapping[str, Any] | None]) -> None:
        if not distributed.broadcast((folder / RECORD).exists()):
            partial = folder.with_name(folder.name + ".partial")
            if distributed.is_main_process():
                partial.mkdir(parents=True, exist_ok=True)
            own_lock = folder.with_name(f".{folder.name}.lock")
            with _locked(own_lock) if distributed.is_main_process() else nullcontext():
                if not distributed.broadcast((folder / RECORD).exists()):
                    self._compute(compute, partial)
            distributed.barrier()

    def _compute(self, compute: Callable[[Path], Mapping[str, Any] | None], partial: Path) -> None:
        if not distributed.is_main_process():
            if self.shared:
                compute(partial)
            return
        logger.info("%s %s: computing %s", self.name, self.label, self.folder)
        if self.folder.exists():
            shutil.rmtree(self.folder)  # without its record nobody knows whether it is whole
        continued = any(partial.iterdir())  # the time then lacks what came before
        start = time.perf_counter()
        forget_peak_memory()
        with nullcontext() if self.shared else distributed.single_process():
            noted = compute(partial) or {}
        record = {
            "step": self.name,
            "label": self.label,
            "digest": self.digest,
            "options": self.options,
            "inputs": {name: run.digest for name, run in self.inputs.items()},
            "code": code_digest(*self.modules),
            "seconds": round(time.perf_counter() - start, 2),
            "peak_memory_mib": round(peak_memory() / 2**20),
            "continued": continued,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "processes": distributed.world_size() if self.shared else 1,
            **environment(),
            "checksums": _checksums(partial),
            "noted": dict(noted),
        }
        write_atomically(partial / RECORD, json.dumps(record, indent=1))
        partial.rename(self.folder)
        # Not before, or a full disk here would cost the training.
        shutil.rmtree(self.folder / CHECKPOINTS, ignore_errors=True)


def as_json(**options: Options) -> dict[str, Any]:
    """Options as a digest is taken of them and a record holds them, by their names."""
    return {name: section.model_dump(mode="json") for name, section in options.items()}


def forget_peak_memory() -> None:
    """Has `peak_memory` begin anew, where the system can: Linux."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory() -> int:
    """The most bytes that this process held since `forget_peak_memory`, or ever."""
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, others KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@cache
def environment() -> dict[str, Any]:
    """Versions, git revision and device that results were made with."""
    torch = sys.modules.get("torch")  # who never imported it has used the processor
    on_gpu = torch is not None and torch.cuda.is_available()
    processor = f"{platform.machine()} CPU, {os.cpu_count()} cores"
    threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    return {
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in REPORTED_PACKAGES},
        "git_revision": _git_revision(),
        "device": torch.cuda.get_device_name() if torch and on_gpu else processor,
        "threads": torch.get_num_threads() if torch else threads,  # as torch would count them
    }


def _git_revision() -> str:
    """The commit, '-dirty' where a file differs from it: not in `study/`, which runs write to."""
    try:
        changed = _git("status", "--porcelain", "--untracked-files=no", ".", ":(exclude)study")
        return _git("describe", "--always", "--abbrev=12") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*command: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *command],
        capture_output=True,
        encoding="utf-8",
        check=True,
        env=clean(os.environ),
    ).stdout.strip()


def _checksums(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent != folder / CHECKPOINTS
    }


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("wb") as file:
        lock(file, path, wait=True)
        yield


def finished_steps(root: Path) -> list[Path]:
    """Folders of all finished steps of one profile and cohort, whose runs lie in `root`.

    Raises:
        FileNotFoundError: none is finished.
    """
    folders = [record.parent for record in sorted(root.glob(f"*/*/{RECORD}"))]
    whole = [folder for folder in folders if folder.suffix != ".partial"]
    if not whole:
        raise FileNotFoundError(f"{root} holds no finished step: there is nothing to verify")
    return whole


def faults(folder: Path) -> Iterator[str]:
    """Missing and changed files of a finished step, a sentence for each."""
    try:
        checksums = Run.load(folder).record["checksums"]
    except DamagedFileError as error:
        yield str(error)
        return
    for name, written in checksums.items():
        file = folder / name
        if not file.is_file():
            yield f"{file} is missing"
        elif file_digest(file) != written:
            yield f"{file} is not what was written: its checksum differs"
