"""The fingerprint of a cohort's content."""

import hashlib

import numpy as np
import pandas as pd

from companion.engine.mapped import read

# Hashed at once, so that memory grows neither with the number of images nor with their size.
_BYTES = 2**22
_ROWS = 1024


def checksum(images: np.ndarray, table: pd.DataFrame) -> str:
    """SHA-256 (hex) over the images' bytes and the table written as CSV.

    Args:
        images: uint8 (N, H, W), possibly memory-mapped.
        table: N rows.
    """
    digest = hashlib.sha256()
    step = max(1, _BYTES // max(1, images[:1].nbytes))
    for start in range(0, len(images), step):
        digest.update(read(images, slice(start, start + step)).tobytes())
    for start in range(0, len(table), _ROWS):
        rows = table.iloc[start : start + _ROWS]
        digest.update(rows.to_csv(index=False, header=start == 0, lineterminator="\n").encode())
    return digest.hexdigest()
