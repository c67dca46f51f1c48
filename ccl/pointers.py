"""Fixed names for what lies in folders named by digests.

`runs/<profile>/<cohort>/steps/<step>.json` names the finished folder of a step, and
`results.csv` and `notebooks/<name>.ipynb` are copies of finished files. All are written completely
or not at all. They are what the workflow sees of a step.
"""

import json
import os
from pathlib import Path

from ccl.runs import Run, write_atomically


def point(root: Path, name: str, run: Run) -> Path:
    """Writes the pointer `steps/<name>.json` to a finished run.

    Args:
        root: folder of the runs of one profile and cohort.
        name: name of the step, with strategy and seed where it has them.
        run: the finished run.
    """
    pointer = root / "steps" / f"{name}.json"
    pointer.parent.mkdir(parents=True, exist_ok=True)
    content = {"folder": run.folder.relative_to(root).as_posix(), "digest": run.digest}
    write_atomically(pointer, json.dumps(content, indent=1) + "\n")
    return pointer


def publish(source: Path, target: Path) -> Path:
    """Copies a finished file to its fixed name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    partial.write_bytes(source.read_bytes())
    os.replace(partial, target)
    return target
