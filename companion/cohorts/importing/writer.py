"""The import engine: streams planned images into a cohort folder.

The folder appears whole or not at all. Until then its content lies beside it in
`.<name>.partial`, where `images.npy` grows frame by frame and `progress.jsonl` says how far; an
interrupted import goes on there and ends with the same bytes as an undisturbed one. Pixels in
memory are those of the few images being read, however many there are; only the table is held.
`sources.jsonl` grows with the frames: what each file was when it was read (`sources`).
Where scanners are simulated, what grows is `frames.npy`, and `images.npy` is made from it.

Images are read by threads: Pillow and NumPy release the interpreter lock, and threads neither
outlive a killed import nor copy a process that has torch loaded.
"""

import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pandas as pd
from tqdm import tqdm

from companion.cohorts.checksum import checksum
from companion.cohorts.errors import CohortError, ImageError
from companion.cohorts.importing import identity
from companion.cohorts.importing import plan as plans
from companion.cohorts.importing.description import description, preprocessing
from companion.cohorts.importing.image_files import FrameOptions, read_frame
from companion.cohorts.importing.manifest import LINE
from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.sources import SOURCES, SourceFile, file_state, read_source
from companion.cohorts.simulation import simulated_scanners
from companion.cohorts.simulation.simulated_scanners import FRAMES
from companion.engine import locks, storage
from companion.engine.files import explain_full_disk, require_free_space, write_atomically
from companion.engine.storage import npy_header

OnBadImage = Literal["error", "skip"]

BATCH = 128  # images between two entries of the progress record
_PROGRESS = "progress.jsonl"


@dataclass(frozen=True)
class SkippedImage:
    """An image that is not in the cohort: its place among the planned rows, and why."""

    place: int
    file: str
    row: int
    reason: str


@dataclass(frozen=True)
class DecodedImage:
    """What became of one image; its file, unless it stands in an archive."""

    frame: np.ndarray | ImageError
    source: SourceFile | None = None


@dataclass(frozen=True)
class OpenFiles:
    """The open files of an unfinished import: frames, the list of sources, how far it is."""

    images: IO[bytes]
    listed: IO[bytes]
    record: IO[bytes]


@dataclass
class Progress:
    """How many planned rows are done, how many of them are frames, and the list of their files.

    Attributes:
        read: planned rows.
        written: frames.
        listed: bytes of the list.
        skipped: rows without a frame.
    """

    read: int = 0
    written: int = 0
    listed: int = 0
    skipped: list[SkippedImage] = field(default_factory=list)


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
    plans.check(plan, plan.rows)
    if folder.is_dir() and any(folder.iterdir()):
        raise CohortError(f"{folder} already exists and is not empty; remove it to import again")
    partial = folder.with_name(f".{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    with explain_full_disk(folder.parent), _locked(partial / _PROGRESS) as record:
        try:
            skipped = _write_images(plan, partial, record, on_bad_image, workers or _cores())
            _finish(plan, partial, skipped)
        except CohortError:
            shutil.rmtree(partial)
            raise
        (partial / _PROGRESS).unlink()
        partial.rename(folder)


def _cores() -> int:
    """Cores that this process may use, which a scheduler can make fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """Opens the progress record for this process alone; the lock ends with the process."""
    with path.open("a+b") as record:
        try:
            locks.lock(record, path, wait=False)
        except BlockingIOError:
            raise CohortError(
                f"{path.parent}: another process is importing there; wait until it has finished"
            ) from None
        yield record


def _write_images(
    plan: Plan, partial: Path, record: IO[bytes], on_bad_image: OnBadImage, workers: int
) -> list[SkippedImage]:
    """Appends the frame of every row that the record does not hold yet to their file."""
    path, shape = partial / (FRAMES if plan.simulated else "images.npy"), plan.options.shape
    listing = partial / SOURCES
    for file in (path, listing):
        file.touch()
    progress = _resume(record, _digest(plan, on_bad_image), path, listing, shape)
    require_free_space(partial, _remaining_bytes(plan, partial, path))
    with path.open("r+b") as images, listing.open("r+b") as listed:
        images.write(npy_header((len(plan.rows), *shape)))
        images.truncate(_file_size(progress.written, shape))
        listed.truncate(progress.listed)
        for open_file in (images, listed):
            open_file.seek(0, os.SEEK_END)
        _append_frames(plan, OpenFiles(images, listed, record), progress, on_bad_image, workers)
        images.seek(0)
        images.write(npy_header((progress.written, *shape)))
    return progress.skipped


def _remaining_bytes(plan: Plan, partial: Path, frames: Path) -> int:
    """Bytes of images that are not on disk yet."""
    files = {frames, partial / "images.npy"}
    there = sum(file.stat().st_size for file in files if file.exists())
    return max(0, len(files) * _file_size(len(plan.rows), plan.options.shape) - there)


def _append_frames(
    plan: Plan, files: OpenFiles, progress: Progress, on_bad_image: OnBadImage, workers: int
) -> None:
    todo = plan.rows.iloc[progress.read :]
    saved = len(progress.skipped)
    named = zip(todo["source_path"], todo[LINE], _decode(plan, todo, workers), strict=True)
    bar = tqdm(
        named, f"Importing {plan.options.name}", len(plan.rows), initial=progress.read, unit="image"
    )
    if plan.archive and progress.read == 0:
        files.listed.write(
            read_source(plan.root, os.path.relpath(plan.archive.path, plan.root)).line()
        )
    for file, line, image in bar:
        if image.source:
            files.listed.write(image.source.line())
        if isinstance(image.frame, ImageError):
            if on_bad_image == "error":
                raise _bad_image_error(plan, file, line, image.frame) from image.frame
            progress.skipped.append(SkippedImage(progress.read, file, int(line), str(image.frame)))
        else:
            files.images.write(image.frame.tobytes())
            progress.written += 1
        progress.read += 1
        if progress.read % BATCH == 0 or progress.read == len(plan.rows):
            _save_progress(files, progress, progress.skipped[saved:])
            saved = len(progress.skipped)


def _decode(plan: Plan, rows: pd.DataFrame, workers: int) -> Iterator[DecodedImage]:
    """The images of some rows, in their order."""
    if plan.archive:
        frames = plan.archive.frames(rows["source_path"], plan.options)
        return (DecodedImage(frame) for frame in frames)
    return _decode_files(plan.root, rows["source_path"], plan.options, workers)


def _decode_file(root: Path, path: str, options: FrameOptions) -> DecodedImage:
    """Reads a file twice, the second time from the system's cache: for its bytes, and as image."""
    source = read_source(root, path)
    try:
        frame: np.ndarray | ImageError = read_frame(root / path, options)
    except ImageError as error:
        frame = error
    if file_state(root / path) != source.state:
        frame = ImageError("was changed while it was read")
    return DecodedImage(frame, source)


def _decode_files(
    root: Path, paths: Iterable[str], options: FrameOptions, workers: int
) -> Iterator[DecodedImage]:
    """Images in the order of their paths, a bounded number of them at once."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="import")
    ahead: deque[Future[DecodedImage]] = deque()
    try:
        for path in paths:
            ahead.append(pool.submit(_decode_file, root, path, options))
            if len(ahead) >= 4 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _bad_image_error(plan: Plan, file: str, line: int, error: ImageError) -> CohortError:
    return CohortError(
        f"{plan.manifest}, row {line}: image '{file}' {error}; mend it, take it from the list, "
        "or import the rest with --on-bad-image=skip"
    )


def _digest(plan: Plan, on_bad_image: OnBadImage) -> str:
    """Names an import: another plan, or another image under the same name, starts from zero.

    Raises:
        CohortError: an image is missing or empty and none may be skipped. Files are looked at
            before any is read, so that this is said at once and not after hours.
    """
    said = [plan.options.model_dump(mode="json"), preprocessing(plan.options), on_bad_image]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode())
    digest.update(plans.cohort_table(plan.rows).to_csv().encode())
    for file, line in zip(plan.rows["source_path"], plan.rows[LINE], strict=True):
        path = plan.archive.path if plan.archive else plan.root / file
        status = path.stat() if path.is_file() else None
        if on_bad_image == "error" and not (status and status.st_size):
            reason = "is empty (0 bytes)" if status else "is missing"
            raise _bad_image_error(plan, file, line, ImageError(reason))
        digest.update(f"{status.st_size} {status.st_mtime_ns}".encode() if status else b"missing")
    return digest.hexdigest()


def _save_progress(files: OpenFiles, progress: Progress, skipped: list[SkippedImage]) -> None:
    """Records the progress, once the frames and sources that it speaks of are on disk."""
    progress.listed = files.listed.tell()
    _fsync(files.images)
    _fsync(files.listed)
    entry = {"read": progress.read, "written": progress.written, "listed": progress.listed}
    _append_line(files.record, entry | {"skipped": [asdict(image) for image in skipped]})


def _append_line(record: IO[bytes], entry: dict[str, Any]) -> None:
    record.write(json.dumps(entry).encode() + b"\n")
    _fsync(record)


def _fsync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _resume(
    record: IO[bytes], digest: str, images: Path, listing: Path, shape: tuple[int, int]
) -> Progress:
    """Reads how far an interrupted import came; removes what the record holds beyond that."""
    progress, end = Progress(), 0
    record.seek(0)
    for number, line in enumerate(record):
        entry = _parse_line(line)
        if number == 0:
            known = entry.get("import") == digest
        else:
            known = (
                "read" in entry
                and _file_size(entry["written"], shape) <= images.stat().st_size
                and entry["listed"] <= listing.stat().st_size
            )
        if not known:  # another import, a torn line, or what never reached the disk
            break
        end += len(line)
        if number > 0:
            progress.read, progress.written = entry["read"], entry["written"]
            progress.listed = entry["listed"]
            progress.skipped += [SkippedImage(**image) for image in entry["skipped"]]
    record.truncate(end)
    if end == 0:
        _append_line(record, {"import": digest})
    return progress


def _parse_line(line: bytes) -> dict[str, Any]:
    """A line of the record; {} when it was cut off."""
    try:
        return dict(json.loads(line)) if line.endswith(b"\n") else {}
    except ValueError:
        return {}


def _file_size(images: int, shape: tuple[int, int]) -> int:
    """Length in bytes of the file with so many frames."""
    return len(npy_header((images, *shape))) + images * shape[0] * shape[1]


def _finish(plan: Plan, partial: Path, skipped: list[SkippedImage]) -> None:
    """Writes `table.parquet` and `cohort.json` beside the images, and puts scanners over those."""
    gone = [image.place for image in skipped]
    rows = plan.rows.reset_index(drop=True).drop(index=gone)
    plans.check(plan, rows)
    frames = storage.read_npy(partial / (FRAMES if plan.simulated else "images.npy"))
    alike = identity.duplicate_images(plan.manifest, frames, rows, plan.options.published)
    table = plans.cohort_table(rows)
    table.to_parquet(partial / "table.parquet", index=False)
    if plan.simulated:
        simulated_scanners.render_cohort(partial, table, plan.simulated)
    images = storage.read_npy(partial / "images.npy")
    listed = [{"file": i.file, "row": i.row, "reason": i.reason} for i in skipped]
    info = description(plan, rows, listed, alike) | {"checksum": checksum(images, table)}
    write_atomically(partial / "cohort.json", json.dumps(info, indent=2) + "\n")
