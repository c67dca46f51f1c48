"""Fixed names for what lies in folders named by digests.

`runs/<profile>/<cohort>/steps/<step>.json` names the finished folder of a step, and
`results.csv` and `notebooks/<name>.ipynb` are copies of finished files. All are written completely
or not at all. They are what the workflow sees of a step.
"""

import json
from pathlib import Path

from ccl import distributed
from companion.engine.files import write_atomically
from companion.engine.runs import Run
from companion.engine.storage import RECORD, read_json


def write_pointer(root: Path, name: str, run: Run, *, replace: bool = True) -> None:
    """Writes the pointer `steps/<name>.json` to a finished run; of several processes, the first.

    Args:
        root: folder of the runs of one profile and cohort.
        name: of the step, with strategy and seed where it has them.
        run: the finished run.
        replace: also where it names this run already.
    """
    pointer = root / "steps" / f"{name}.json"
    content = {"folder": run.folder.relative_to(root).as_posix(), "digest": run.digest}
    if distributed.is_main_process() and (replace or not _holds(pointer, content)):
        pointer.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(pointer, json.dumps(content, indent=1) + "\n")


def _holds(pointer: Path, content: dict[str, str]) -> bool:
    return pointer.is_file() and read_json(pointer) == content


def read_pointer(root: Path, name: str) -> Run:
    """The finished run that a pointer names.

    Raises:
        FileNotFoundError: the step was not run, or its folder is gone.
    """
    pointer = root / "steps" / f"{name}.json"
    if not pointer.is_file():
        raise FileNotFoundError(f"{pointer} is missing: run the step {name} first (`make book`)")
    record = root / read_json(pointer)["folder"] / RECORD
    if not record.is_file():
        raise FileNotFoundError(f"{record} is missing: run the step {name} again (`make book`)")
    return Run.load(record.parent)


def remove_dangling(root: Path) -> None:
    """Deletes pointers to folders that somebody deleted, so that their steps are done again."""
    for pointer in (root / "steps").glob("*.json"):
        if not (root / read_json(pointer)["folder"] / RECORD).is_file():
            pointer.unlink(missing_ok=True)


def finished_runs(root: Path) -> dict[str, Run]:
    """The runs that all pointers name, by the pointers' names, in their order.

    Raises:
        FileNotFoundError: the folder of one is gone.
    """
    names = sorted(path.stem for path in (root / "steps").glob("*.json"))
    return {name: read_pointer(root, name) for name in names}


def copy_file(source: Path, target: Path) -> Path:
    """Copies a finished file to its fixed name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, source.read_bytes())
    return target
