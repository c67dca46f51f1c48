"""mini-MIAS: 322 digitised film mammograms of 161 women, as published, on simulated scanners.

Reads `Info.txt` and `mdb001.pgm` ... `mdb322.pgm` (1024 x 1024, or any size). The label is the
background tissue as the publisher's radiologists read it: fatty, fatty-glandular, dense-glandular.
All films were digitised on one device, so the scanners are simulated (`simulated_scanners`).

Source: Suckling et al., The Mammographic Image Analysis Society Digital Mammogram Database,
Exerpta Medica, International Congress Series 1069, 1994; data at
https://www.repository.cam.ac.uk/handle/1810/250394.
"""

import re
from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd
from pydantic import Field

from companion.cohorts.errors import CohortError
from companion.cohorts.importing.plan import Plan
from companion.cohorts.importing.release import ImportOptions, Release
from companion.cohorts.importing.splits import SplitOptions, split_by_patient
from companion.cohorts.importing.table import LINE, Table
from companion.cohorts.simulation import simulated_scanners
from companion.cohorts.simulation.scanner_shares import SimulatedScanners

TISSUES = {"F": "fatty", "G": "fatty-glandular", "D": "dense-glandular"}
RELEASE = Release(
    title="mini-MIAS",
    access="https://www.repository.cam.ac.uk/handle/1810/250394, free",
    licence="research only, under the publisher's licence",
    needs={"Info.txt": "the list of films", "mdb*.pgm": "the films"},
    sexes=("F",),
    tables=("Info.txt",),
    citation="Suckling J, et al. The Mammographic Image Analysis Society Digital Mammogram "
    "Database. Exerpta Medica, International Congress Series 1069, 375-378, 1994.",
    caveats=(
        *simulated_scanners.CAVEATS,
        "Research use only, under the publisher's licence (Licence.txt).",
        "Two films of each woman, both mediolateral oblique; women are split, not films.",
        "161 women: differences between scanners and strategies are uncertain.",
        "A common central crop removes black margin; it cuts the widest films at the sides.",
    ),
)
# Lines of the list begin so; others are prose.
_FILM = re.compile(r"^(?P<image_id>mdb(?P<number>[0-9]+))\b\s*(?P<tissue>\S*)", re.IGNORECASE)


class MiniMiasOptions(ImportOptions, SimulatedScanners):
    """How mini-MIAS becomes a cohort.

    The publisher padded all films to squares, most of them with black margins: 'crop' takes the
    same central part of every image, three quarters of its width in the frame's proportions.

    Attributes:
        table: the publisher's list of films in the data root.
        splits: shares of the women.
    """

    release: ClassVar = RELEASE
    table_option: ClassVar = "table"
    source: Literal["mini-mias"] = "mini-mias"
    scanner_set: Literal["radiography", "mammography"] = "mammography"
    name: str = "mini-mias"
    table: str = "Info.txt"
    width: int | None = Field(default=48, ge=8, le=4096)
    fit: Literal["stretch", "pad", "crop"] = "crop"
    shares: dict[str, float] = Field(default={"Fjord": 0.6, "Haven": 0.25, "Iris": 0.15})
    held_out: tuple[str, ...] = ("Kestrel",)
    splits: SplitOptions = Field(default_factory=SplitOptions)


def plan(options: MiniMiasOptions, data_root: Path) -> Plan:
    """The films with split, simulated scanner and label; no image is read."""
    table = _films(data_root / options.table)
    table.rows = table.rows.assign(sex="F", age=float("nan"), view="MLO", scanner="")
    table["split"] = split_by_patient(table.rows, (), options.splits)
    table["scanner"] = simulated_scanners.assign_scanners(table.rows, options)
    return Plan.of(options, data_root, table, options.scanners, tuple(TISSUES.values()))


def _films(path: Path) -> Table:
    """One row per film; a film with several abnormalities has several lines in the list."""
    if not path.is_file():
        raise CohortError(f"{path} is missing: expected the publisher's list of films")
    lines = pd.Series(path.read_text(encoding="latin-1").splitlines(), dtype=str)
    rows = lines.str.extract(_FILM).dropna()
    if rows.empty:
        raise CohortError(
            f"{path} lists no film: expected lines like 'mdb001 G CIRC B 535 425 197'"
        )
    rows[LINE] = rows.index + 1
    table = Table(path, rows, {"tissue": "background tissue"})
    codes = {letter: code for code, letter in enumerate(TISSUES)}
    table["label"] = table.map_values("tissue", codes)
    table["image_id"] = table["image_id"].str.lower()
    table.keep_first("image_id", "label", "film '{}' has another tissue than in row {}")
    woman = (table["number"].astype(int) + 1) // 2  # films 1 and 2 are of one woman, 3 and 4, ...
    table["patient_id"] = "pair" + woman.astype(str).str.zfill(3)
    table["source_path"] = table["image_id"] + ".pgm"
    return table
