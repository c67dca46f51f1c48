"""A disk of a few megabytes that tests fill and empty again."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SmallDisk:
    """A mounted file system in memory, and the file that takes its room."""

    folder: Path

    def fill(self, leave: int = 0) -> None:
        """Takes all room but some bytes, rounded up to whole pages."""
        self.make_room()
        free = shutil.disk_usage(self.folder).free
        with self._filler.open("wb") as file:
            file.write(bytes(free - leave))

    def make_room(self) -> None:
        """As if the user had deleted something."""
        self._filler.unlink(missing_ok=True)

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"


def mount(folder: Path) -> str:
    """Mounts one; what hindered it, or nothing."""
    folder.mkdir()
    if shutil.which("mount") is None:
        return "there is no `mount`"
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, text=True).stderr.strip()


def unmount(folder: Path) -> None:
    """Also where a test still maps a file of it."""
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
