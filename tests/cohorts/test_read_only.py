"""Nothing is ever written into a data root, and it need not be writable."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from companion.cli import app
from companion.cohorts import doctor, fakes
from companion.cohorts.registry import SourceOptions, build
from tests.checkout import ROOT
from tests.cohorts import test_medmnist, test_mini_mias, test_nih
from tests.cohorts.conftest import Source

IMPORT = """
import sys
from pathlib import Path
from companion.cohorts import doctor
from companion.cohorts.registry import build
from companion.cohorts.releases.folder import FolderOptions
from companion.cohorts.releases.rsna import RsnaOptions
root, out = map(Path, sys.argv[1:])
try:
    (root / "folder" / "written").touch()
except OSError:
    print("read-only")
for options in (FolderOptions(size=8), RsnaOptions(size=8)):
    assert doctor.examine(root / options.source, options).healthy
    build(options, root / options.source, out / options.source)
print("imported")
"""


def listing(root: Path) -> dict[str, tuple[int, int, int]]:
    """Type and rights, size and date of everything in a folder and of itself."""
    found = {path: path.lstat() for path in (root, *root.rglob("*"))}
    return {str(p): (s.st_mode, s.st_size, s.st_mtime_ns) for p, s in found.items()}


@pytest.fixture(scope="module")
def roots() -> Iterator[Path]:
    """A made-up release of every source, where anybody may read it."""
    folder = Path(tempfile.mkdtemp(prefix="ccl-read-only-"))
    folder.chmod(0o755)
    for name in fakes.RELEASES:
        fakes.make(name, folder / name, patients=48)
    own = Source(folder / "folder")
    for i in range(24):
        own.add(f"{i}.png", f"p{i}", "AB"[i % 2], "yn"[i // 2 % 2])
    own.write_manifest()
    test_nih.Download(folder / "nih").save()
    test_mini_mias.Download(folder / "mini-mias").save()
    (folder / "medmnist").mkdir()
    np.savez(folder / "medmnist" / "pneumoniamnist.npz", **test_medmnist.made_up())
    yield folder
    shutil.rmtree(folder)


def options_of(name: str) -> SourceOptions:
    small = {"size": 8, "width": 8} | ({"validation_patients": 5} if name == "embed" else {})
    return doctor.SOURCES[name].options().model_copy(update=small)  # type: ignore[return-value]


@pytest.mark.parametrize("name", doctor.SOURCES)
def test_looking_and_importing_leave_a_data_root_as_it_was(
    name: str, roots: Path, tmp_path: Path
) -> None:
    before = listing(roots / name)
    assert CliRunner().invoke(app, ["cohort", "doctor", str(roots / name)]).exit_code == 0
    assert len(build(options_of(name), roots / name, tmp_path / "cohort"))
    assert listing(roots / name) == before


def run(
    command: list[str], how: list[str], folder: Path = Path("/")
) -> subprocess.CompletedProcess[str]:
    """What a command does and says in some surroundings; skips where there are no such."""
    tried = subprocess.run([*how, "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"not here: {tried.stderr.strip()}")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*how, *command], env=environment, cwd=folder, capture_output=True, text=True, timeout=120
    )


def powerless() -> list[str]:
    """Surroundings in which what rights say holds, for root as well."""
    if os.geteuid() != 0:
        return ["env"]
    if shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and there is no setpriv to give that up")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


def mounted_read_only(folder: Path) -> list[str]:
    """Surroundings in which a folder is mounted so that nobody can write to it."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare, to have mounts of one's own")
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, str(folder)]


@pytest.mark.parametrize("how", ["rights", "mount"])
def test_a_data_root_that_can_only_be_read(how: str, roots: Path, tmp_path: Path) -> None:
    before = listing(roots)
    folders = [path for path in before if Path(path).is_dir()] if how == "rights" else []
    try:
        for folder in folders:
            os.chmod(folder, 0o555)
        command = [sys.executable, "-c", IMPORT, str(roots), str(tmp_path)]
        done = run(command, powerless() if how == "rights" else mounted_read_only(roots))
    finally:
        for folder in folders:
            os.chmod(folder, 0o755)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["read-only", "imported"]
    assert {p: rest for p, (_, *rest) in listing(roots).items()} == {
        p: rest for p, (_, *rest) in before.items()
    }


@pytest.mark.parametrize(
    "command",
    [
        [str(ROOT / "workflow/alone.py"), "runs/.lock", "true"],
        ["-m", "companion", "run", "cohort", "--profile", "tiny"],
    ],
    ids=["make", "ccl"],
)
def test_runs_that_cannot_be_written_to_are_named(command: list[str], tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        done = run([sys.executable, *command], powerless(), tmp_path)
    finally:
        tmp_path.chmod(0o755)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert "Permission denied" in done.stderr
    assert "runs" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()
