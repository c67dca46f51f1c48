"""The import engine: streams planned images into a cohort folder.

The folder appears whole or not at all. Until then its content lies beside it in
`.<name>.partial`, where `images.npy` grows frame by frame and `progress.json` says how far; an
interrupted import goes on there and ends with the same bytes as an undisturbed one. Pixels in
memory are those of the few images being read, however many there are; only the table is held.
Where scanners are simulated, what grows is `frames.npy`, and `images.npy` is made from it.

Images are read by threads: Pillow and NumPy release the interpreter lock, and threads neither
outlive a killed import nor copy a process that has torch loaded.
"""

import hashlib
import json
import logging
import os
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pandas as pd
from tqdm import tqdm

from companion.cohorts.cohort import describe
from companion.cohorts.errors import CohortError, ImageError
from companion.cohorts.importing import identity
from companion.cohorts.importing import plan as plans
from companion.cohorts.importing.image_files import FrameOptions, read_frame
from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.progress import PROGRESS, Progress, fsync, locked_list
from companion.cohorts.importing.sources import SourceFile, file_state, read_source
from companion.cohorts.importing.table import LINE
from companion.cohorts.simulation import simulated_scanners
from companion.cohorts.simulation.simulated_scanners import FRAMES
from companion.engine import storage
from companion.engine.files import explain_full_disk, require_free_space, write_atomically
from companion.engine.processes import cores
from companion.engine.storage import npy_header

OnBadImage = Literal["error", "skip"]
# A frame, or why there is none; and its file, unless it stands in an archive.
Decoded = tuple[np.ndarray | ImageError, SourceFile | None]

BATCH = 128  # images after which it is stored how far an import is
log = logging.getLogger(__name__)


def write(
    plan: Plan, folder: Path, on_bad_image: OnBadImage = "error", workers: int | None = None
) -> None:
    """Imports the images of a plan into a cohort folder; resumes an interrupted import.

    Args:
        plan: the rows and what is said about them.
        folder: becomes the cohort; must not exist, or be empty.
        on_bad_image: 'error' stops at the first bad image and leaves nothing; 'skip' imports the
            rest and lists what was skipped in `cohort.json`.
        workers: images read at once; all cores by default. The result does not depend on it.

    Raises:
        CohortError: the rows make no cohort, an image is bad, or the folder is in use.
        DiskFullError: there is no room for the images; what is done stays.
    """
    plans.check(plan)
    if folder.is_dir() and any(folder.iterdir()):
        raise CohortError(f"{folder} already exists and is not empty; remove it to import again")
    partial = folder.with_name(f".{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    with explain_full_disk(folder.parent), locked_list(partial) as sources:
        try:
            progress = Progress(partial, sources, _key(plan, on_bad_image))
            _write_images(plan, partial, progress, on_bad_image, workers or cores())
            _write_table_and_info(plan, partial, progress)
        except CohortError:
            shutil.rmtree(partial)
            raise
        (partial / PROGRESS).unlink()
        partial.rename(folder)


def _key(plan: Plan, on_bad_image: OnBadImage) -> str:
    """Names an import: another plan, or another image under the same name, starts from zero.

    Raises:
        CohortError: an image is missing or empty and none may be skipped. Files are looked at
            before any is read, so that this is said at once and not after hours.
    """
    options = [plan.options.model_dump(mode="json"), _preprocessing(plan.options), on_bad_image]
    digest = hashlib.sha256(json.dumps(options, sort_keys=True, default=str).encode())
    digest.update(plans.cohort_table(plan.rows).to_csv().encode())
    for file, line in zip(plan.rows["source_path"], plan.rows[LINE], strict=True):
        state = file_state(plan.archive.path if plan.archive else plan.root / file)
        if on_bad_image == "error" and state.size <= 0:
            reason = "is missing" if state.size < 0 else "is empty (0 bytes)"
            raise _bad_image_error(plan, file, line, ImageError(reason))
        digest.update(str(state).encode())
    return digest.hexdigest()


def _bad_image_error(plan: Plan, file: str, line: int, error: ImageError) -> CohortError:
    return CohortError(
        f"{plan.manifest}, row {line}: image '{file}' {error}; mend it, take it from the list, "
        "or import the rest with --on-bad-image=skip"
    )


def _write_images(
    plan: Plan, partial: Path, progress: Progress, on_bad_image: OnBadImage, workers: int
) -> None:
    """Writes the frame of every row to their file, as far as they are not there yet."""
    path, shape = _frames_file(plan, partial), plan.options.shape
    path.touch()
    pixels, header = shape[0] * shape[1], len(npy_header((0, *shape)))
    progress.resume((path.stat().st_size - header) // pixels)
    if plan.archive and not progress.read:
        archive = os.path.relpath(plan.archive.path, plan.root)
        progress.add_source(read_source(plan.root, archive))
    files = {path, partial / "images.npy"}
    on_disk = sum(file.stat().st_size for file in files if file.exists())
    needed = len(files) * (header + len(plan.rows) * pixels) - on_disk
    require_free_space(partial, max(0, needed))
    with path.open("r+b") as images:
        images.write(npy_header((len(plan.rows), *shape)))
        images.truncate(header + progress.written * pixels)
        images.seek(0, os.SEEK_END)
        _append_frames(plan, images, progress, on_bad_image, workers)
        images.seek(0)
        images.write(npy_header((progress.written, *shape)))


def _frames_file(plan: Plan, partial: Path) -> Path:
    return partial / (FRAMES if plan.simulated else "images.npy")


def _append_frames(
    plan: Plan, images: IO[bytes], progress: Progress, on_bad_image: OnBadImage, workers: int
) -> None:
    rows, title = plan.rows.iloc[progress.read :], f"Importing {plan.options.name}"
    decoded = zip(rows["source_path"], rows[LINE], _decode(plan, rows, workers), strict=True)
    for file, line, (frame, source) in tqdm(
        decoded, title, len(plan.rows), initial=progress.read, unit="image"
    ):
        if source is not None:
            progress.add_source(source)
        if isinstance(frame, ImageError):
            if on_bad_image == "error":
                raise _bad_image_error(plan, file, line, frame) from frame
            place = {"place": progress.read, "file": file, "row": int(line)}
            progress.skipped.append(place | {"reason": str(frame)})
        else:
            images.write(frame.tobytes())
            progress.written += 1
        progress.read += 1
        if progress.read % BATCH == 0 or progress.read == len(plan.rows):
            fsync(images)
            progress.save()


def _decode(plan: Plan, rows: pd.DataFrame, workers: int) -> Iterator[Decoded]:
    """The images of some rows, in their order; of files, a bounded number at once."""
    if plan.archive:
        for frame in plan.archive.frames(rows["source_path"], plan.options):
            yield frame, None
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="import")
    ahead: deque[Future[Decoded]] = deque()
    try:
        for path in rows["source_path"]:
            ahead.append(pool.submit(_decode_file, plan.root, path, plan.options))
            if len(ahead) >= 4 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_file(root: Path, path: str, options: FrameOptions) -> Decoded:
    """Reads a file twice, the second time from the system's cache: for its bytes, and as image."""
    source = read_source(root, path)
    try:
        frame: np.ndarray | ImageError = read_frame(root / path, options)
    except ImageError as error:
        frame = error
    if file_state(root / path) != source.state:
        frame = ImageError("was changed while it was read")
    return frame, source


def _write_table_and_info(plan: Plan, partial: Path, progress: Progress) -> None:
    """Writes what lies beside the images; puts simulated scanners over those."""
    places = [image["place"] for image in progress.skipped]
    plan = replace(plan, rows=plan.rows.reset_index(drop=True).drop(index=places))
    plans.check(plan)
    frames = storage.read_npy(_frames_file(plan, partial))
    caveats = identity.duplicate_images(plan.manifest, frames, plan.rows, plan.options.published)
    table = plans.cohort_table(plan.rows)
    table.to_parquet(partial / "table.parquet", index=False)
    if plan.simulated:
        simulated_scanners.render_cohort(partial, table, plan.simulated)
    images = storage.read_npy(partial / "images.npy")
    skipped = [{key: image[key] for key in ("file", "row", "reason")} for image in progress.skipped]
    compared = plan.compare_with_paper()
    info = describe(
        plan.options,
        plan,
        images,
        table,
        preprocessing=_preprocessing(plan.options),
        left_out=plan.left_out,
        skipped=skipped,
        caveats=[*plan.caveats, *caveats, *_missing_classes(plan)],
        evaluation_only=plan.options.evaluation_only,
        **({} if compared is None else {"table_1": compared}),
    )
    write_atomically(partial / "cohort.json", json.dumps(info, indent=2) + "\n")


def _preprocessing(frame: FrameOptions) -> dict[str, Any]:
    """The options by which images became frames."""
    options = frame.model_dump(mode="json", include=set(FrameOptions.model_fields))
    return options | {"resampling": "hamming, antialiased"}


def _missing_classes(plan: Plan) -> list[str]:
    """Caveats about val and test cells in which a metric cannot be computed; also logged."""
    cells = plan.rows.groupby(["split", "scanner"])["label"].agg(set)
    caveats = []
    for split, scanners in (
        ("val", plan.scanners),
        ("test", (*plan.scanners, *plan.held_out_scanners)),
    ):
        for scanner in scanners:
            seen = cells.get((split, scanner), set())
            absent = [name for code, name in enumerate(plan.classes) if code not in seen]
            if absent:
                caveats.append(f"Split '{split}' has no image of {absent} from {scanner}.")
                log.warning("%s: %s", plan.manifest.name, caveats[-1])
    return caveats
