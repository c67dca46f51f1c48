"""pyproject.toml (ranges), requirements.txt (pins) and environment.yml (conda) say the same."""

import importlib.metadata
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


def test_torch_and_torchvision_are_a_pair() -> None:
    needs = [Requirement(line) for line in importlib.metadata.requires("torchvision") or []]
    (torch,) = [need for need in needs if need.name == "torch"]
    pins = {pin.name: _version(pin) for pin in PINS}
    assert importlib.metadata.version("torchvision").split("+")[0] == pins["torchvision"]
    assert torch.specifier.contains(pins["torch"])


def test_conda_installs_the_same_pins() -> None:
    *plain, pip = CONDA["dependencies"]
    assert pip == {"pip": ["-r requirements.txt", "-e ."]}
    assert {line.split("=")[0] for line in plain} == {"python", "pip", "make"}


def test_conda_has_a_supported_python() -> None:
    (version,) = [
        line.split("=")[1] for line in CONDA["dependencies"] if str(line).startswith("python=")
    ]
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{version}.0")


def _version(pin: Requirement) -> str:
    (only,) = pin.specifier
    assert only.operator == "=="
    return only.version
