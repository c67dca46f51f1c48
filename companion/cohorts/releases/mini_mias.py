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
_FILM = re.compile(r"mdb([0-9]+)\b", re.IGNORECASE)  # lines of the list begin so; others are prose


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
    path = data_root / options.table
    rows = _films(path).assign(sex="F", age=float("nan"), view="MLO", scanner="")
    rows["split"] = split_by_patient(rows, (), options.splits)
    rows["scanner"] = simulated_scanners.assign_scanners(rows, options)
    return Plan.of(
        options,
        data_root,
        Table(path, rows),
        options.scanners,
        tuple(TISSUES.values()),
        held_out_scanners=options.held_out_scanners,
        simulated=options,
    )


def _films(path: Path) -> pd.DataFrame:
    """One row per film; a film with several abnormalities has several lines in the list."""
    if not path.is_file():
        raise CohortError(f"{path} is missing: expected the publisher's list of films")
    films: dict[str, dict[str, object]] = {}
    for line, text in enumerate(path.read_text(encoding="latin-1").splitlines(), start=1):
        found = _FILM.match(text)
        if found is None:
            continue
        name, label = found.group().lower(), _label(path, line, text)
        woman = (int(found.group(1)) + 1) // 2  # films 1 and 2 are of one woman, 3 and 4, ...
        film = {"image_id": name, "patient_id": f"pair{woman:03d}", "label": label, LINE: line}
        first = films.setdefault(name, film | {"source_path": f"{name}.pgm"})
        if first["label"] != label:
            raise CohortError(
                f"{path}, row {line}: film '{name}' has another tissue than in row {first[LINE]}"
            )
    if not films:
        raise CohortError(
            f"{path} lists no film: expected lines like 'mdb001 G CIRC B 535 425 197'"
        )
    return pd.DataFrame(films.values())


def _label(path: Path, line: int, text: str) -> int:
    cells = text.split()
    tissue = cells[1].upper() if len(cells) > 1 else ""
    if tissue not in TISSUES:
        said = f"unknown background tissue '{tissue}', expected one of {[*TISSUES]}"
        raise CohortError(f"{path}, row {line}: {said}")
    return list(TISSUES).index(tissue)
