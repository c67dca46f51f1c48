"""Made-up data of every source: made once, and a copy of it for each test that spoils it."""

import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from companion.cohorts.cohort import Cohort
from tests.cohorts import releases
from tests.cohorts.releases import MiniMias, Nih, Source, own_images


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The data of a source, to be read only; all lie side by side."""
    folder = tmp_path_factory.mktemp("sources")

    @cache
    def made(name: str) -> Path:
        releases.write(name, folder / name)
        return folder / name

    return made


@pytest.fixture
def copied(untouched: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """The data of a source, to be spoilt: tables may be written to, images be replaced."""

    def copy(file: str, to: str) -> None:
        (shutil.copy if file.endswith((".csv", ".json", ".txt", ".npz")) else os.link)(file, to)

    return lambda name: shutil.copytree(untouched(name), tmp_path / name, copy_function=copy)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Cohort]:
    """A cohort of few small images of each phantom."""
    folder = tmp_path_factory.mktemp("phantoms")
    return cache(lambda source: releases.phantom(source, folder / source))


@pytest.fixture
def release(request: pytest.FixtureRequest, copied: Callable[[str], Path]) -> Path:
    """The data of the source that the module is about, its `SOURCE`, to be spoilt."""
    return copied(request.module.SOURCE)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """24 images of 24 patients, two scanners, two classes, no split."""
    return own_images(tmp_path / "data")


@pytest.fixture
def nih(tmp_path: Path) -> Nih:
    """Not saved yet."""
    return Nih(tmp_path / "nih")


@pytest.fixture
def mias(tmp_path: Path) -> MiniMias:
    """To be saved again where lines change."""
    made = MiniMias(tmp_path / "mias")
    made.save()
    return made
