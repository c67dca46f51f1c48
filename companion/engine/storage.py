"""Reading back what was stored: a damaged file is named, and no file can run code.

Every function raises `DamagedFileError` where the content is not what was written, with the remedy:
what is stored can be made again.
"""

import json
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.engine.files import explain_full_disk, require_free_space, write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

RECORD = "run.json"  # in the folder of a finished step, see `companion.engine.runs`

_ZEROS = bytes(2**20)


class DamagedFileError(ValueError):
    """A stored file is not what was written; the message names it and the remedy."""


def damaged(path: Path, why: object) -> DamagedFileError:
    """The error about a damaged file, with what to do."""
    # Without its record a step is done again; without one of its files it would pass for done.
    doomed = f"the folder {path.parent}" if (path.parent / RECORD).exists() else "it"
    return DamagedFileError(
        f"{path} is damaged ({why}). Delete {doomed} and give the command that made it again"
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise damaged(path, f"it is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise damaged(path, "it holds no JSON object")
    return content


def read_parquet(path: Path) -> "pd.DataFrame":
    """A Parquet table."""
    import pandas as pd
    import pyarrow as pa

    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, ValueError, OSError) as error:
        raise damaged(path, f"it is not a whole Parquet file: {error}") from error


def read_safetensors(path: Path) -> "dict[str, Tensor]":
    """The tensors of a safetensors file, by their names."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise damaged(path, f"it is not a whole safetensors file: {error}") from error


def write_safetensors(path: Path, weights: "dict[str, Tensor]") -> None:
    """Writes tensors by their names as a safetensors file."""
    from safetensors.torch import save

    write_atomically(path, save({name: tensor.contiguous() for name, tensor in weights.items()}))


def read_npy(path: Path) -> np.ndarray:
    """An array of numbers, memory-mapped read-only, once its file is known to be whole."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:  # also of a map longer than its file
        raise damaged(path, f"it is not a whole array of numbers: {error}") from error
    if not isinstance(found, np.memmap):
        raise damaged(path, "it is an archive, not an array")
    if path.stat().st_size != found.offset + found.nbytes:
        raise damaged(path, f"it is longer than its {found.shape} {found.dtype}")
    return found


def write_npy(path: Path, values: np.ndarray) -> None:
    """Writes an array of numbers."""
    content = BytesIO()
    np.save(content, values, allow_pickle=False)
    write_atomically(path, content.getbuffer())


def create_npy(path: Path, shape: tuple[int, ...]) -> "np.memmap[Any, Any]":
    """A new uint8 array of zeros on disk, memory-mapped for writing; all its room is taken at once.

    A map of a file with holes ends the process when the disk is full as one is filled.

    Raises:
        DiskFullError: there is no room for it.
    """
    header, size = npy_header(shape), int(np.prod(shape))
    with explain_full_disk(path.parent), path.open("wb") as file:
        require_free_space(path.parent, len(header) + size)
        file.write(header)
        for start in range(0, size, len(_ZEROS)):
            file.write(_ZEROS[: size - start])
    return np.lib.format.open_memmap(path, mode="r+")


def npy_header(shape: tuple[int, ...]) -> bytes:
    """First bytes of a file of a uint8 array; NumPy pads them to one length for any count."""
    file = BytesIO()
    fields = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, fields)
    return file.getvalue()
