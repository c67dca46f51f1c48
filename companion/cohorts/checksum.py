"""The fingerprint of a cohort's content."""

import hashlib

import numpy as np
import pandas as pd

from companion.engine.mapped import read_blocks

_ROWS = 1024  # of the table, hashed at once


def checksum(images: np.ndarray, table: pd.DataFrame) -> str:
    """SHA-256 (hex) over the images' bytes and the table written as CSV.

    Args:
        images: uint8 (N, H, W), possibly memory-mapped.
        table: N rows.
    """
    digest = hashlib.sha256()
    for block in read_blocks(images):
        digest.update(block.tobytes())
    for start in range(0, len(table), _ROWS):
        rows = table.iloc[start : start + _ROWS]
        digest.update(rows.to_csv(index=False, header=start == 0, lineterminator="\n").encode())
    return digest.hexdigest()
