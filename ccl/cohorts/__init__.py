"""Images and their table on disk, whatever their source."""

from pathlib import Path

from ccl.cohorts import folder as folder_source
from ccl.cohorts import medmnist, mini_mias, nih, phantom_breast, phantom_chest
from ccl.cohorts.cohort import Cohort, load
from ccl.cohorts.errors import CohortError
from ccl.cohorts.folder import FolderOptions
from ccl.cohorts.medmnist import MedMnistOptions
from ccl.cohorts.mini_mias import MiniMiasOptions
from ccl.cohorts.nih import NihOptions
from ccl.cohorts.phantom_breast import PhantomBreastOptions
from ccl.cohorts.phantom_chest import PhantomChestOptions
from ccl.cohorts.writer import OnBadImage

__all__ = [
    "Cohort",
    "CohortError",
    "FolderOptions",
    "MedMnistOptions",
    "MiniMiasOptions",
    "NihOptions",
    "PhantomBreastOptions",
    "PhantomChestOptions",
    "SourceOptions",
    "build",
    "load",
]

SourceOptions = (
    PhantomChestOptions
    | PhantomBreastOptions
    | NihOptions
    | MiniMiasOptions
    | MedMnistOptions
    | FolderOptions
)


def build(
    options: SourceOptions,
    data_root: str | Path | None,
    folder: str | Path,
    on_bad_image: OnBadImage = "error",
) -> Cohort:
    """Makes a cohort folder from the source that the options are of, and opens it.

    Args:
        options: of one source.
        data_root: where the source's files lie; None for a simulated source.
        folder: becomes the cohort, whole or not at all.
        on_bad_image: 'error', or 'skip' to import the rest and record what was skipped.

    Raises:
        CohortError: bad input; names file and row.
    """
    folder = Path(folder)
    if isinstance(options, NihOptions):
        nih.build(options, _required(data_root, options.source), folder, on_bad_image)
    elif isinstance(options, FolderOptions):
        folder_source.build(options, _required(data_root, options.source), folder, on_bad_image)
    elif isinstance(options, MiniMiasOptions):
        mini_mias.build(options, _required(data_root, options.source), folder, on_bad_image)
    elif isinstance(options, MedMnistOptions):
        medmnist.build(options, _required(data_root, options.source), folder, on_bad_image)
    elif isinstance(options, PhantomBreastOptions):
        phantom_breast.build(options, None, folder)
    else:
        phantom_chest.build(options, None, folder)
    return load(folder)


def _required(data_root: str | Path | None, source: str) -> Path:
    if data_root is None or not Path(data_root).is_dir():
        raise CohortError(
            f"data root {str(data_root)!r} is no folder: cohort '{source}' is made from files; "
            "give the folder that holds them (DATA_ROOT, --data-root)"
        )
    return Path(data_root)
