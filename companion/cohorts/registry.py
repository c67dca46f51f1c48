"""Every source of images, a line each; phantoms have theirs in `simulation.phantoms`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from companion.cohorts.cohort import SEXES, Cohort
from companion.cohorts.errors import CohortError
from companion.cohorts.importing.paths import is_inside, require_inside
from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.release import ImportOptions
from companion.cohorts.importing.writer import OnBadImage, write
from companion.cohorts.releases import (
    chexpert,
    embed,
    folder,
    medmnist,
    mini_mias,
    nih,
    padchest,
    rsna,
    vindr,
)
from companion.cohorts.simulation import phantom
from companion.cohorts.simulation.phantom import PhantomOptions
from companion.cohorts.simulation.phantoms import PHANTOMS

SourceOptions = ImportOptions | PhantomOptions


class Source(NamedTuple):
    """A source that is read from files.

    Attributes:
        options: what can be chosen.
        plan: (options, data root) to the rows that would be imported; reads no image.
    """

    options: type[ImportOptions]
    plan: Callable[[Any, Path], Plan]


# Where two fit a folder equally well, the doctor takes the first: RSNA's holds the NIH's table too.
SOURCES: Mapping[str, Source] = {
    "padchest": Source(padchest.PadChestOptions, padchest.plan),
    "rsna": Source(rsna.RsnaOptions, rsna.plan),
    "embed": Source(embed.EmbedOptions, embed.plan),
    "vindr": Source(vindr.VindrOptions, vindr.plan),
    "nih": Source(nih.NihOptions, nih.plan),
    "chexpert": Source(chexpert.CheXpertOptions, chexpert.plan),
    "mini-mias": Source(mini_mias.MiniMiasOptions, mini_mias.plan),
    "medmnist": Source(medmnist.MedMnistOptions, medmnist.plan),
    "folder": Source(folder.FolderOptions, folder.plan),
}
# What can be chosen of each source, by the name that a profile gives it.
OPTIONS: Mapping[str, type[SourceOptions]] = {
    **PHANTOMS,
    **{name: source.options for name, source in SOURCES.items()},
}


def build(
    options: SourceOptions,
    data_root: str | Path | None,
    folder: str | Path,
    on_bad_image: OnBadImage = "error",
) -> Cohort:
    """A cohort folder, made from the source that the options are of, and opened.

    Args:
        options: of one source.
        data_root: where the source's files lie; None for a simulated source.
        folder: becomes the cohort, whole or not at all.
        on_bad_image: 'error', or 'skip' to import the rest and record what was skipped.

    Raises:
        CohortError: bad input; names file and row.
    """
    folder = Path(folder)
    if isinstance(options, PhantomOptions):
        phantom.build(options, folder)
    else:
        write(make_plan(options, data_root), folder, on_bad_image)
    return Cohort.load(folder)


def states_sex(options: SourceOptions) -> bool:
    """Whether a source states women and men, so that do(sex) can be asked."""
    return set(SEXES) <= set(options.sexes)


def make_plan(options: ImportOptions, data_root: str | Path | None) -> Plan:
    """The rows that a source read from files would import; no image is read.

    Raises:
        CohortError: the folder or its tables are not as they should be; names file and row.
    """
    if data_root is None or not Path(data_root).is_dir():
        raise CohortError(
            f"data root {str(data_root)!r} is no folder: cohort '{options.source}' is made from "
            "files; give the folder that holds them (DATA_ROOT, --data-root)"
        )
    root = Path(data_root)
    for table in options.tables:
        if not is_inside(root / table, root):
            raise CohortError(f"table '{table}' lies outside the data root {root}")
    plan = SOURCES[options.source].plan(options, root)
    if plan.archive is None:
        require_inside(plan.table, plan.root)
    return plan
