"""The recorded study: what finished experiments found, kept in the repository.

`study/<cohort>/` holds the tables behind verdicts and figures, and `record.json` with where they
came from: versions, device, and of every step its options, digest and cost. No weights, no images.
`companion.book.recording` fills it; `make study` computes and keeps everything anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from companion import ROOT
from companion.claims import judging, ledger
from companion.claims.contrasts import Setting, checked_results
from companion.claims.evidence import Evidence
from companion.claims.judging import Finding
from companion.engine.csv_files import read_table
from companion.engine.storage import read_json
from companion.strategies import BASE, STRATEGIES, generator_of, split_seed

FOLDER = ROOT / "study"
INFO = "record.json"


@dataclass(frozen=True)
class Record:
    """What one experiment found.

    Attributes:
        folder: its tables.
        info: the parsed `record.json`.
    """

    folder: Path
    info: Mapping[str, Any]

    @property
    def cohort(self) -> str:
        """Name of the cohort."""
        return str(self.info["cohort"])

    @property
    def setting(self) -> Setting:
        """What the claims are asked about."""
        stored = self.info["setting"]
        return Setting(stored["cohort"], tuple(stored["scanners"]), tuple(stored["held_out"]))

    def table(self, name: str) -> pd.DataFrame | None:
        """A table by its name, such as 'results'; None where the experiment has none."""
        file = self.folder / f"{name}.csv"
        return read_table(file) if file.is_file() else None

    @cached_property
    def results(self) -> pd.DataFrame:
        """`results.csv`.

        Raises:
            FileNotFoundError: it is missing.
        """
        return read_table(self.folder / "results.csv")

    @property
    def evidence(self) -> Evidence:
        """What its claims are tested on.

        Raises:
            ValueError: a table is not what it should be; names the file.
        """
        quality = self.table("quality")
        return Evidence(
            self.setting,
            checked_results(self.results, self.setting, str(self.folder / "results.csv")),
            None if quality is None else _trained(quality),
            self.table("separability"),
            self.info["steps"],
            self.table("history"),
        )

    @cached_property
    def findings(self) -> list[Finding]:
        """The verdicts of today's ledger on the recorded results."""
        return judging.judge(ledger.load(), self.evidence)

    @property
    def initial_weights(self) -> dict[str, str | None]:
        """What the encoders of each objective started from, as `EncoderOptions.pretrained` says."""
        evaluated = (each["options"] for each in self.info["steps"] if each["step"] == "evaluation")
        return {each["objective"]: each["encoder"]["pretrained"] for each in evaluated}


def load(folder: Path) -> Record:
    """Opens the record of one cohort.

    Raises:
        FileNotFoundError: the folder holds none.
    """
    file = folder / INFO
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: `make study` makes the record")
    return Record(folder, read_json(file))


def load_all(folder: Path = FOLDER) -> dict[str, Record]:
    """Every record, by its cohort."""
    found = [load(file.parent) for file in sorted(folder.glob(f"*/{INFO}"))]
    return {record.cohort: record for record in found}


def findings_on(cohort: str, folder: Path = FOLDER) -> list[Finding]:
    """What the record of a cohort found; empty without one."""
    return load(folder / cohort).findings if (folder / cohort / INFO).is_file() else []


def simulated(name: str, folder: Path = FOLDER) -> pd.DataFrame:
    """What intervals ('coverage') or verdicts ('verdicts') did on experiments of known truth.

    `benchmarks/simulations.py` makes both tables.

    Raises:
        FileNotFoundError: the table is not in the folder.
    """
    table = read_table(folder / f"{name}.csv")
    table = table.astype({column: str for column in table.select_dtypes("integer")})  # counts
    return table.set_index([column for column in ("interval", "truth") if column in table])


def overview(records: Mapping[str, Record]) -> pd.DataFrame:
    """What was recorded, by cohort: a row each."""
    described = {record.cohort: _described(record) for record in records.values()}
    return pd.DataFrame(described).T.rename_axis("cohort")


def _described(record: Record) -> dict[str, str]:
    made = record.info["steps"]
    seconds = sum(step["seconds"] for step in made)
    devices, revisions = (
        ", ".join(dict.fromkeys(str(step[name]) for step in made))
        for name in ("device", "git_revision")
    )
    return {
        "images": f"{record.info['images']:,}",
        "encoders pretrained": str(sum(step["step"] == "pretraining" for step in made)),
        "pretraining seeds": str(record.results["pretrain_seed"].nunique()),
        "hours, one step after another": f"{seconds / 3600:.1f}",
        "device": devices,
        "revision of the code": revisions,
        "finished": max(str(step["finished"]) for step in made)[:10],
    }


def verdicts(records: Mapping[str, Record]) -> pd.DataFrame:
    """The verdict on every claim, a row each, with a column for each cohort."""
    statements = {claim.id: claim.statement for claim in ledger.load().claims}
    found = {
        record.cohort: {each.claim.id: str(each.verdict) for each in record.findings}
        for record in records.values()
    }
    table = pd.DataFrame(found, index=list(statements))
    table.insert(0, "the paper says", pd.Series(statements))
    return table.rename_axis("claim")


def tests(record: Record) -> pd.DataFrame:
    """Every test of every claim that the record can decide: effect, interval, verdict."""
    made = judging.table(record.findings)
    made = made[made["effect"].notna()]
    columns = {"test": "measured", "unit": "unit", "effect": "effect", "ci_low": "from"}
    columns |= {"ci_high": "to", "seeds": "seeds", "test_verdict": "verdict"}
    made["seeds"] = made["seeds"].astype(str)  # a count, not a measurement
    return made.set_index("claim")[list(columns)].rename(columns=columns)


def qualities_by_seed(record: Record) -> dict[str, pd.DataFrame]:
    """`quality.csv` of the trained generator, by the seed of its training; empty without any."""
    table = record.table("quality")
    if table is None:
        return {}
    return {
        f"seed {split_seed(str(name))[1]}": each
        for name, each in _trained(table).groupby("generator")
    }


def _trained(quality: pd.DataFrame) -> pd.DataFrame:
    """Of every generator's `quality.csv` those of the trained ones."""
    return quality[[split_seed(name)[0] == BASE for name in quality["generator"]]]


def qualities(record: Record, objective: str) -> dict[str, pd.DataFrame]:
    """`quality.csv` of the generators behind an objective's pairs across scanners, by strategy.

    Empty where counterfactuals cannot be compared with a truth.
    """
    table, trained = record.table("quality"), record.results
    trained = trained[trained["objective"] == objective]
    if table is None or not record.info["has_truth"]:
        return {}
    makers = {name: generator_of(name) for name in STRATEGIES if name in set(trained["strategy"])}
    return {name: table[table["generator"] == maker] for name, maker in makers.items() if maker}
