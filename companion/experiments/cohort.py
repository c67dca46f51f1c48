"""The step `cohort`: images and their table, imported from a release or simulated."""

from pathlib import Path
from typing import Any

from ccl import distributed
from companion.cohorts import registry
from companion.cohorts.cohort import Cohort
from companion.cohorts.importing import sources
from companion.cohorts.importing.release import ImportOptions
from companion.cohorts.importing.writer import OnBadImage
from companion.engine import storage
from companion.engine.files import file_digest
from companion.engine.runs import Run, Step, as_json
from companion.engine.storage import RECORD
from companion.experiments.config import Experiment

CODE = ("companion.cohorts.importing.writer",)  # and the source's


def make_cohort(
    experiment: Experiment, on_bad_image: OnBadImage = "error", on_changed_data: str = "error"
) -> Run:
    """The finished cohort; a finished import is first compared with the files that it is of.

    Args:
        experiment: names the source.
        on_bad_image: 'error', or 'skip' to import the rest. Not part of the digest: later steps go
            on with the cohort that there is, and `cohort.json` records what was skipped.
        on_changed_data: what to do where files of the data root are not those that a finished
            cohort was imported from: 'error', or 'reimport' as another run.

    Raises:
        ChangedSourcesError: such files; names them.
    """
    if experiment.data_root is None:
        return _imported(experiment, on_bad_image, 0)
    root = str(Path(experiment.data_root).resolve())
    reimported = sources.count_reimports(experiment.root, root)
    run = _imported(experiment, on_bad_image, reimported)
    if distributed.broadcast(
        distributed.is_main_process() and _is_to_reimport(run, Path(root), on_changed_data)
    ):
        run = _imported(experiment, on_bad_image, reimported + 1)
        if distributed.is_main_process():
            sources.write_reimports(experiment.root, root, reimported + 1)
        distributed.barrier()
    return run


def _imported(experiment: Experiment, on_bad_image: OnBadImage, reimported: int) -> Run:
    """The finished import after so many others of the same data root."""
    source = experiment.source
    options = as_json(source=source) | ({"reimported": reimported} if reimported else {})
    options["data_root"] = str(Path(experiment.data_root).resolve()) if experiment.data_root else ""
    options["tables"] = _table_digests(experiment, options)
    code = (type(source).__module__, *CODE)
    step = Step(experiment.root, "cohort", options, {}, code, (make_cohort,))

    def compute(folder: Path) -> dict[str, Any]:
        # The importer renames its own unfinished work: it goes on from there after a kill.
        imported = folder / "made"
        if not imported.exists():
            registry.build(source, experiment.data_root, imported, on_bad_image)
        for file in imported.iterdir():
            file.rename(folder / file.name)
        imported.rmdir()
        return {"images": len(Cohort.load(folder))}

    return step.run(compute)


def _is_to_reimport(run: Run, root: Path, on_changed_data: str) -> bool:
    """Whether files that a finished cohort was imported from changed, where that is accepted."""
    if sources.is_absent(root):
        sources.warn_if_absent(run.folder, root)
        return False
    if on_changed_data == "error":
        sources.require_unchanged(run.folder, root, run.record["finished"])
        return False
    return bool(sources.changed_sources(run.folder, root))


def tables(experiment: Experiment) -> tuple[str, ...]:
    """Files in the data root, relative to it, that say which images there are."""
    source = experiment.source
    return source.tables if isinstance(source, ImportOptions) else ()


def _table_digests(experiment: Experiment, options: dict[str, Any]) -> dict[str, str]:
    """Digests of the source's tables, so that an edited one is imported anew.

    Where the data root is gone, they are those of the last import with the same `options`.
    """
    if experiment.data_root is None:
        return {}
    if sources.is_absent(Path(experiment.data_root)):
        return _last_tables(experiment, options)
    files_by_name = {name: Path(experiment.data_root) / name for name in tables(experiment)}
    # A missing table is named by the importer, which knows what it is for.
    return {
        name: file_digest(table) if table.is_file() else "missing"
        for name, table in files_by_name.items()
    }


def _last_tables(experiment: Experiment, options: dict[str, Any]) -> dict[str, str]:
    files = (experiment.root / "cohort").glob(f"*/{RECORD}")
    last: dict[str, Any] = {"finished": "", "options": {"tables": {}}}
    for record in map(storage.read_json, files):
        others = {name: value for name, value in record["options"].items() if name != "tables"}
        if others == options and record["finished"] > last["finished"]:
            last = record
    return dict(last["options"]["tables"])
