"""Images and their table on disk, whatever their source."""

from collections.abc import Callable, Mapping
from pathlib import Path

from companion.cohorts.cohort import SEXES, Cohort
from companion.cohorts.errors import CohortError
from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.writer import OnBadImage, write
from companion.cohorts.releases import (
    chexpert,
    embed,
    medmnist,
    mini_mias,
    nih,
    padchest,
    rsna,
    vindr,
)
from companion.cohorts.releases import folder as folder_source
from companion.cohorts.releases.chexpert import CheXpertOptions
from companion.cohorts.releases.embed import EmbedOptions
from companion.cohorts.releases.folder import FolderOptions
from companion.cohorts.releases.medmnist import MedMnistOptions
from companion.cohorts.releases.mini_mias import MiniMiasOptions
from companion.cohorts.releases.nih import NihOptions
from companion.cohorts.releases.padchest import PadChestOptions
from companion.cohorts.releases.rsna import RsnaOptions
from companion.cohorts.releases.vindr import VindrOptions
from companion.cohorts.simulation import phantom
from companion.cohorts.simulation.phantom_breast import BREAST, PhantomBreastOptions
from companion.cohorts.simulation.phantom_chest import CHEST, PhantomChestOptions

__all__ = [
    "CheXpertOptions",
    "Cohort",
    "CohortError",
    "EmbedOptions",
    "FolderOptions",
    "MedMnistOptions",
    "MiniMiasOptions",
    "NihOptions",
    "PadChestOptions",
    "PhantomBreastOptions",
    "PhantomChestOptions",
    "RsnaOptions",
    "SourceOptions",
    "VindrOptions",
    "build",
    "planned",
    "states_sex",
]

SourceOptions = (
    PhantomChestOptions
    | PhantomBreastOptions
    | PadChestOptions
    | CheXpertOptions
    | RsnaOptions
    | EmbedOptions
    | VindrOptions
    | NihOptions
    | MiniMiasOptions
    | MedMnistOptions
    | FolderOptions
)

# What the sources that are read from files would import.
_PLANS: Mapping[str, Callable[..., Plan]] = {
    "padchest": padchest.plan,
    "chexpert": chexpert.plan,
    "rsna": rsna.plan,
    "embed": embed.plan,
    "vindr": vindr.plan,
    "nih": nih.plan,
    "folder": folder_source.plan,
    "mini-mias": mini_mias.plan,
    "medmnist": medmnist.plan,
}


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
    if isinstance(options, PhantomChestOptions):
        phantom.build(CHEST, options, folder)
    elif isinstance(options, PhantomBreastOptions):
        phantom.build(BREAST, options, folder)
    else:
        write(planned(options, data_root), folder, on_bad_image)
    return Cohort.load(folder)


def states_sex(options: SourceOptions) -> bool:
    """Whether a source states women and men, so that do(sex) can be asked."""
    return set(SEXES) <= set(options.sexes)


def planned(options: SourceOptions, data_root: str | Path | None) -> Plan:
    """The rows that a source read from files would import; no image is read.

    Raises:
        CohortError: the folder or its tables are not as they should be; names file and row.
    """
    return _PLANS[options.source](options, _required(data_root, options.source))


def _required(data_root: str | Path | None, source: str) -> Path:
    if data_root is None or not Path(data_root).is_dir():
        raise CohortError(
            f"data root {str(data_root)!r} is no folder: cohort '{source}' is made from files; "
            "give the folder that holds them (DATA_ROOT, --data-root)"
        )
    return Path(data_root)
