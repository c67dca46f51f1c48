"""Checkpoints that survive kills, full disks and flipped bits.

`last.ckpt` appears whole or not at all, and `previous.ckpt` is the one before. Both are archives
whose entries carry checksums, which are compared before a training goes on from one.
"""

import logging
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from ccl.files import write_atomically

logger = logging.getLogger(__name__)

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
DAMAGED = "damaged.ckpt"


class TwoCheckpoints(TorchCheckpointIO):
    """Writes the last checkpoint completely or not at all, and keeps the one before."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Writes it to a path that ends in `last.ckpt`.

        Raises:
            OSError: there is no room for it; the one before stays.
        """
        last = Path(path)
        last.parent.mkdir(parents=True, exist_ok=True)
        content = BytesIO()
        torch.save(checkpoint, content)
        if last.exists():
            last.replace(last.with_name(PREVIOUS))  # first, so that there are never three
        write_atomically(last, content.getbuffer())


def latest_intact(folder: Path) -> Path | None:
    """The checkpoint to go on from, or None to start from the beginning.

    One that is damaged is put aside as `damaged.ckpt`, with a warning. Nothing in it is run.
    """
    for file in (folder / LAST, folder / PREVIOUS):
        if file.exists():
            if (fault := _fault(file)) is None:
                return file
            file.replace(folder / DAMAGED)
            logger.warning(
                "checkpoint %s is damaged (%s): it is put aside as %s, and training goes on from "
                "the one before, or from the beginning where there is none",
                *(file, fault, DAMAGED),
            )
    return None


def _fault(file: Path) -> str | None:
    """What is wrong with a checkpoint; None for a whole one."""
    try:
        with zipfile.ZipFile(file) as archive:
            if entry := archive.testzip():
                return f"the checksum of its entry {entry} differs"
        torch.load(file, map_location="meta", weights_only=True)
    except Exception as error:  # whatever nonsense in a file makes its readers raise
        return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
    return None
