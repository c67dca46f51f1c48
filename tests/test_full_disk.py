"""A full disk ends a run with what is to be done, and the same command goes on from there."""

import errno
import re
from pathlib import Path

import numpy as np
import pytest
import typer

from companion.cli import tidy_errors
from companion.cohorts import bank as banks
from companion.cohorts.bank import BankOptions
from companion.cohorts.cohort import Cohort
from companion.cohorts.errors import CohortError
from companion.cohorts.importing import writer
from companion.cohorts.registry import build
from companion.cohorts.releases import folder
from companion.cohorts.releases.folder import FolderOptions
from companion.cohorts.simulation.phantom_chest import PhantomChestOptions
from companion.engine.files import DiskFullError, explain_full_disk, write_atomically
from companion.engine.runs import Step
from tests.cohorts.releases import files_of
from tests.cohorts.test_writer import many
from tests.small_disk import SmallDisk

PHANTOM = PhantomChestOptions(size=32, n_train=300, n_val=30, n_test_per_scanner=20)
FULL = (
    r"the disk of {}\S* is full \(0\.0 MiB free\)\. Make room there and give the same command again"
)
TOO_FULL = r"the disk of {} is too full: [\d.]+ MiB are needed, 0\.\d MiB are free"


def full(folder: Path, message: str = FULL) -> str:
    """Pattern of what is said of a folder."""
    return message.format(re.escape(str(folder)))


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return build(PHANTOM, None, tmp_path_factory.mktemp("phantom") / "cohort")


def test_a_file_stays_as_it_was_and_nothing_half_written_beside_it(disk: SmallDisk) -> None:
    file = disk.folder / "plan.json"
    write_atomically(file, "old")
    disk.fill()
    with pytest.raises(DiskFullError, match=full(disk.folder)):
        write_atomically(file, "new" * 10_000)
    assert sorted(path.name for path in disk.folder.iterdir()) == ["filler", "plan.json"]
    assert file.read_text() == "old"
    disk.make_room()
    write_atomically(file, "new")
    assert file.read_text() == "new"


def test_an_import_goes_on_once_there_is_room(disk, tmp_path, monkeypatch):
    source = many(tmp_path / "data", 60)
    real, read = writer.read_frame, list[Path]()

    def meddling(path: Path, options: FolderOptions) -> np.ndarray:
        read.append(path)
        if len(read) == 30:
            disk.fill()  # someone else does
        return real(path, options)

    monkeypatch.setattr(writer, "read_frame", meddling)
    monkeypatch.setattr(writer, "BATCH", 4)
    plan = folder.plan(FolderOptions(size=32), source.root)
    with pytest.raises(DiskFullError, match=full(disk.folder)):
        writer.write(plan, disk.folder / "cohort", workers=1)
    disk.make_room()
    writer.write(plan, disk.folder / "cohort", workers=1)
    assert len(read) < 2 * 60 - 15  # not from the start
    writer.write(plan, tmp_path / "whole", workers=1)
    assert files_of(disk.folder / "cohort") == files_of(tmp_path / "whole")


def test_a_simulated_cohort_that_has_no_room_ends_no_process(disk, phantom):
    """Its images are written through a memory map."""
    disk.fill(leave=200 * 1024)
    with pytest.raises(DiskFullError, match=full(disk.folder / ".cohort.partial", TOO_FULL)):
        build(PHANTOM, None, disk.folder / "cohort")
    disk.make_room()
    made = build(PHANTOM, None, disk.folder / "cohort")
    assert files_of(made.folder) == files_of(phantom.folder)


def test_a_bank_takes_its_room_before_anything_is_computed(disk, tmp_path, phantom, monkeypatch):
    disk.fill(leave=200 * 1024)
    with monkeypatch.context() as patch:
        patch.setattr(
            banks, "true_counterfactual", lambda *_, **__: pytest.fail("computed in vain")
        )
        with pytest.raises(DiskFullError, match=full(disk.folder, TOO_FULL)):
            banks.make_from_truth(phantom, BankOptions(), disk.folder)
    disk.make_room()
    real = banks.true_counterfactual

    def meddling(*arguments: object, **options: object) -> np.ndarray:
        if not (disk.folder / "filler").exists():
            disk.fill(leave=16 * 1024)  # for the record of what is done
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(banks, "true_counterfactual", meddling)
    banks.make_from_truth(phantom, BankOptions(), disk.folder)
    (tmp_path / "whole").mkdir()
    banks.make_from_truth(phantom, BankOptions(), tmp_path / "whole")
    disk.make_room()
    assert files_of(disk.folder) == files_of(tmp_path / "whole")


def test_the_record_of_a_step(disk: SmallDisk) -> None:
    times: list[int] = []

    def compute(folder: Path) -> None:
        (folder / "result.txt").write_text("whole")
        times.append(1)
        if len(times) == 1:
            disk.fill()

    step = Step(disk.folder, "probe", {}, {}, ("ccl.pairs",))
    with pytest.raises(DiskFullError, match=full(disk.folder)):
        step.run(compute)
    assert not step.folder.exists()
    disk.make_room()
    assert (step.run(compute).folder / "result.txt").read_text() == "whole"
    assert not list(disk.folder.rglob("*.partial"))


def test_it_is_one_message(disk: SmallDisk, capsys: pytest.CaptureFixture[str]) -> None:
    disk.fill()
    with pytest.raises(typer.Exit), tidy_errors():
        (disk.folder / "table.csv").write_text("long" * 10_000)
    assert re.match(r"Error: the disk of \S+ is full \(.*\)\. Make room", capsys.readouterr().err)


def test_a_quota_is_named(tmp_path: Path) -> None:
    said = "no more room for you, by its quota"
    with pytest.raises(DiskFullError, match=said), explain_full_disk(tmp_path):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")
    with pytest.raises(PermissionError), explain_full_disk(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_full_disk_is_no_fault_of_the_images() -> None:
    """An import gives up what it has when an image is bad, and must not for want of room."""
    assert not issubclass(DiskFullError, CohortError)
