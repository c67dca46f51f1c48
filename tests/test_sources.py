"""A data root that changes under a finished cohort is noticed by what its files hold."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from companion import cli
from companion.cohorts.cohort import Cohort
from companion.cohorts.errors import CohortError
from companion.cohorts.importing import sources, writer
from companion.cohorts.importing.sources import SOURCES, ChangedSourcesError
from companion.cohorts.releases.folder import FolderOptions
from companion.cohorts.releases.medmnist import MedMnistOptions
from companion.engine import pointers, runs
from companion.engine.runs import Run
from companion.engine.storage import DamagedFileError
from companion.experiments import config, plan, profiles
from companion.experiments.cohort import make_cohort
from companion.experiments.config import Experiment, SourceOptions
from tests.cohorts.conftest import source as source  # a fixture
from tests.cohorts.releases import Source, medmnist, picture


@pytest.fixture(autouse=True)
def _looked_at_anew() -> Iterator[None]:
    """Each test begins, and asks again, as another process would."""
    forget()
    yield
    forget()


def forget() -> None:
    sources.changed_sources.cache_clear()
    sources.warn_if_absent.cache_clear()


def of(root: Path, options: SourceOptions | None = None) -> Experiment:
    """An experiment on a data root; its runs lie beside that."""
    base = config.experiment("tiny", "phantom-chest")
    options = options or FolderOptions(size=8)
    return base.model_copy(
        update={"data_root": str(root), "root": root.parent / "runs", "source": options}
    )


def asked_again(experiment: Experiment, on_changed_data: str = "error") -> Run:
    forget()
    return make_cohort(experiment, on_changed_data=on_changed_data)


def listed(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / SOURCES).read_text().splitlines()]


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.fixture
def experiment(source: Source) -> Experiment:
    source.write_manifest()
    return of(source.root)


def test_every_file_is_listed_with_the_checksum_of_its_bytes(experiment: Experiment) -> None:
    root = Path(str(experiment.data_root))
    (root / "img/003.png").write_bytes(b"no image")
    run = make_cohort(experiment, on_bad_image="skip")
    found = listed(run.folder)
    assert [each["path"] for each in found] == [f"img/{i:03d}.png" for i in range(24)]
    for each in found:
        file = root / str(each["path"])
        assert each["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert (each["size"], each["modified"]) == (file.stat().st_size, file.stat().st_mtime_ns)
    assert SOURCES in run.record["checksums"]


def test_the_same_bytes_are_silent_and_not_read_twice(experiment, monkeypatch, caplog):
    root = Path(str(experiment.data_root))
    run = make_cohort(experiment)
    before = content(run.folder)
    copied = root.with_name("copied")
    shutil.copytree(root, copied, copy_function=shutil.copy)
    shutil.rmtree(root)
    copied.rename(root)
    read: list[Path] = []
    monkeypatch.setattr(sources, "file_digest", lambda p: (read.append(p), runs.file_digest(p))[1])
    caplog.clear()
    assert asked_again(experiment).digest == run.digest
    assert len(read) == 24
    assert asked_again(experiment).digest == run.digest
    assert len(read) == 24  # the new dates were kept
    assert content(run.folder) == before
    assert not caplog.records


def replace_image(root: Path) -> None:
    Image.fromarray(picture(77)).save(root / "img/005.png")


def edit(root: Path) -> None:
    """To other bytes of the same length."""
    file = root / "img/005.png"
    status = file.stat()
    file.write_bytes(file.read_bytes()[::-1])
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def remove(root: Path) -> None:
    (root / "img/005.png").unlink()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (replace_image, "other bytes, dated 20"),
        (edit, "other bytes, dated 20"),
        (remove, "missing"),
    ],
)
def test_other_bytes_are_an_error_and_putting_them_back_mends_it(
    experiment: Experiment, tmp_path: Path, change: Callable[[Path], None], said: str
) -> None:
    run = make_cohort(experiment)
    root = Path(str(experiment.data_root))
    kept = shutil.copytree(root, tmp_path / "kept")
    change(root)
    message = rf"1 of 24 files .*{run.record['finished'][:10]}.*'img/005\.png' \({said}.*reimport"
    for _ in range(2):
        with pytest.raises(ChangedSourcesError, match=message):
            asked_again(experiment)
    shutil.rmtree(root)
    shutil.copytree(kept, root)
    assert asked_again(experiment).digest == run.digest


def test_a_skipped_file_that_is_mended_or_comes_is_a_change(experiment: Experiment) -> None:
    root = Path(str(experiment.data_root))
    mended = [root / "img/003.png", root / "img/004.png"]
    mended[0].write_bytes(b"no image")
    mended[1].unlink()
    make_cohort(experiment, on_bad_image="skip")
    assert asked_again(experiment)
    for i, file in enumerate(mended):
        Image.fromarray(picture(50 + i)).save(file)
    said = r"2 of 24 .*003\.png' \(other bytes.*004\.png' \(was missing, is there now"
    with pytest.raises(ChangedSourcesError, match=said):
        asked_again(experiment)


def test_accepted_changes_are_another_run_and_the_first_stays(experiment: Experiment) -> None:
    first = make_cohort(experiment)
    before = content(first.folder)
    assert asked_again(experiment, "reimport").digest == first.digest  # nothing to accept
    replace_image(Path(str(experiment.data_root)))
    second = asked_again(experiment, "reimport")
    assert second.digest != first.digest
    images = [Cohort.load(run.folder).images for run in (first, second)]
    assert np.flatnonzero((images[0] != images[1]).any(axis=(1, 2))).tolist() == [5]
    assert content(first.folder) == before
    assert asked_again(experiment).digest == second.digest
    edit(Path(str(experiment.data_root)))
    with pytest.raises(ChangedSourcesError):
        asked_again(experiment)


def test_a_change_is_not_accepted_before_its_import_is_whole(experiment: Experiment) -> None:
    root = Path(str(experiment.data_root))
    first = make_cohort(experiment)
    kept = (root / "img/005.png").read_bytes()
    (root / "img/005.png").write_bytes(kept[:-30])
    with pytest.raises(ValueError, match=r"row 7: image 'img/005\.png' cannot be read"):
        asked_again(experiment, "reimport")
    assert sources.count_reimports(experiment.root, str(root)) == 0
    (root / "img/005.png").write_bytes(kept)
    assert asked_again(experiment).digest == first.digest


def test_a_damaged_list_is_named_with_what_to_do(experiment: Experiment) -> None:
    run = make_cohort(experiment)
    file = run.folder / SOURCES
    for content in (file.read_bytes()[:-30], bytes(99), b"[]"):
        file.write_bytes(content)
        said = rf"^{re.escape(str(file))} is damaged \(line .*Delete the folder"
        with pytest.raises(DamagedFileError, match=said):
            asked_again(experiment)
    shutil.rmtree(run.folder)
    assert asked_again(experiment).digest == run.digest


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_without_the_data_root_finished_results_are_used_with_a_warning(experiment, how, caplog):
    run = make_cohort(experiment)
    root = Path(str(experiment.data_root))
    away = root.rename(root.with_name("away"))
    if how == "empty":
        root.mkdir()
    for _ in range(2):
        assert make_cohort(experiment).digest == run.digest
    (said,) = [each.getMessage() for each in caplog.records if each.name == sources.__name__]
    assert f"{root} is not there: its files could not be compared" in said
    if how == "empty":
        root.rmdir()
    away.rename(root)
    assert asked_again(experiment).digest == run.digest


def test_a_file_that_changes_while_it_is_read_is_no_image(experiment, monkeypatch):
    read = writer.read_frame

    def meddling(path: Path, options: FolderOptions) -> np.ndarray:
        if path.name == "005.png":
            os.utime(path, (1, 1))
        return read(path, options)

    monkeypatch.setattr(writer, "read_frame", meddling)
    with pytest.raises(CohortError, match=r"row 7: .* was changed while it was read"):
        make_cohort(experiment)


def test_an_edited_archive_is_imported_anew(tmp_path: Path) -> None:
    root, arrays = tmp_path / "data", medmnist()
    root.mkdir()
    archive = root / "pneumoniamnist.npz"
    np.savez(archive, **arrays)
    mine = of(root, MedMnistOptions(size=12))
    run = make_cohort(mine)
    (only,) = listed(run.folder)
    assert only["sha256"] == runs.file_digest(archive)
    os.utime(archive, (1, 1))
    assert asked_again(mine).digest == run.digest
    arrays["val_images"][0] = picture(999)
    np.savez(archive, **arrays)
    assert asked_again(mine).digest != run.digest


def test_the_option_of_the_command_line_reaches_the_step(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source.write_manifest()
    for i, row in enumerate(source.rows):  # of a frame that profile tiny can take
        Image.fromarray(picture(i, 32)).save(source.root / row["path"])
    command = ["run", "cohort", "--profile", "tiny", "--cohort", "folder"]
    command += ["--data-root", str(source.root)]
    done = [CliRunner().invoke(cli.app, command)]
    assert done[0].exit_code == 0, done[0].stderr
    replace_image(source.root)
    for more in ([], ["--on-changed-data", "reimport"], []):
        forget()
        done.append(CliRunner().invoke(cli.app, [*command, *more]))
    assert [each.exit_code for each in done] == [0, 1, 0, 0]
    assert done[1].stderr.startswith("Error: data root")
    assert done[2].stdout == done[3].stdout != done[0].stdout
    record = pointers.read_pointer(Path("runs/tiny/folder"), "cohort").record
    assert record["options"]["reimported"] == 1


def test_the_workflow_looks_again_where_files_changed(source, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    source.write_manifest()
    root = plan.folder("tiny", "folder")
    mine = of(source.root).model_copy(update={"root": root})
    stamp = root / "plan.json"

    def looked_again() -> bool:
        before = stamp.read_text()
        plan.check_sources("tiny", "folder", str(source.root))
        return stamp.read_text() != before

    root.mkdir(parents=True)
    stamp.write_text("{}")
    assert not looked_again()  # nothing is imported yet
    pointers.write_pointer(root, "cohort", make_cohort(mine))
    assert not looked_again()
    os.utime(source.root / "img/005.png", (1, 1))
    assert looked_again()
    asked_again(mine)  # finds the same bytes
    assert not looked_again()
    replace_image(source.root)
    assert looked_again()
    assert looked_again()
    source.root.rename(tmp_path / "away")
    assert not looked_again()
    assert "is not there" in caplog.text


def test_external_cohorts_stay_when_their_folder_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    padchest = profiles.read(config.ROOT / "configs", "paper", "padchest")
    assert padchest.available(("rsna",)) == ()
    pointer = tmp_path / "runs/paper/rsna/steps/cohort.json"
    pointer.parent.mkdir(parents=True)
    pointer.touch()
    assert profiles.read(config.ROOT / "configs", "paper", "padchest").available(("rsna",)) == (
        "rsna",
    )
