"""pyproject.toml (ranges), requirements.txt (pins) and environment.yml (conda) say the same."""

import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RANGES = [
    Requirement(line)
    for lines in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for line in lines
]
LINES = (ROOT / "requirements.txt").read_text().splitlines()
PINS = [Requirement(line) for line in LINES]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())


@pytest.mark.parametrize("wanted", RANGES, ids=str)
def test_every_dependency_is_pinned_within_its_range(wanted: Requirement) -> None:
    pins = [pin for pin in PINS if canonicalize_name(pin.name) == canonicalize_name(wanted.name)]
    assert pins, f"{wanted} has no pin: run `make lock`"
    for pin in pins:
        assert wanted.specifier.contains(_version(pin), prereleases=True)


def test_requirements_hold_exact_pins_and_nothing_else() -> None:
    assert all(_version(pin) for pin in PINS)
    assert not [line for line in LINES if line.startswith("-") or "://" in line]


def test_conda_installs_the_same_pins() -> None:
    *plain, pip = CONDA["dependencies"]
    assert pip == {"pip": ["-r requirements.txt", "-e ."]}
    versions = dict(line.partition("=")[::2] for line in plain)
    assert set(versions) == {"python", "pip", "make"}
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{versions['python']}.0")


def _version(pin: Requirement) -> str:
    (only,) = pin.specifier
    assert only.operator == "=="
    return only.version
