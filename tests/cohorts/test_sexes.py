"""What every source says of the sexes of its images is what its table holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from companion.cohorts import fakes
from companion.cohorts.importing.import_options import ImportOptions
from companion.cohorts.registry import OPTIONS, build, make_plan, states_sex
from tests.cohorts import test_medmnist, test_mini_mias, test_nih
from tests.cohorts.conftest import Source


def released(name: str) -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        fakes.make(name, folder, 48)
        return {}

    return write


def nih(folder: Path) -> dict[str, Any]:
    test_nih.Download(folder).save()
    return {}


def mini_mias(folder: Path) -> dict[str, Any]:
    test_mini_mias.Download(folder).save()
    return {}


def medmnist(folder: Path) -> dict[str, Any]:
    folder.mkdir()
    np.savez(folder / "pneumoniamnist.npz", **test_medmnist.made_up())
    return {}


def manifest(**columns: str) -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        made = Source(folder)
        for i in range(24):
            label, sex = ("healthy", "ill")[i // 2 % 2], "fm"[i % 2]
            made.add(f"{i}.png", f"p{i}", "AB"[i % 2], label, sex=sex)
        made.write_manifest()
        return {"columns": columns}

    return write


def simulated(folder: Path) -> dict[str, Any]:
    return {"n_train": 20, "n_val": 2, "n_test_per_scanner": 2}


MAKERS = [(name, released(name)) for name in fakes.RELEASES]
MAKERS += [("nih", nih), ("mini-mias", mini_mias), ("medmnist", medmnist)]
MAKERS += [("folder", manifest()), ("folder", manifest(sex="sex"))]
MAKERS += [("phantom-chest", simulated), ("phantom-breast", simulated)]


def test_every_source_is_looked_at() -> None:
    assert {name for name, _ in MAKERS} == set(OPTIONS)


@pytest.mark.parametrize(("name", "make"), MAKERS, ids=[name for name, _ in MAKERS])
def test_the_sexes_of_a_source_are_those_of_its_table(
    name: str, make: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    options = OPTIONS[name](**make(tmp_path / "data"))
    if isinstance(options, ImportOptions):
        table = make_plan(options, tmp_path / "data").rows
    else:
        table = build(options, None, tmp_path / "cohort").table
    stated = set(table["sex"]) - {""}
    assert stated == set(options.sexes)
    assert states_sex(options) == (stated == {"F", "M"})
