"""The fingerprint of a cohort's content."""

import hashlib

import numpy as np
import pandas as pd

_CHUNK = 1024  # images hashed at once, so that memory does not grow with the cohort


def checksum(images: np.ndarray, table: pd.DataFrame) -> str:
    """SHA-256 (hex) over the images' bytes and the table written as CSV.

    Args:
        images: uint8 (N, H, W), possibly memory-mapped.
        table: N rows.
    """
    digest = hashlib.sha256()
    for start in range(0, len(images), _CHUNK):
        digest.update(np.ascontiguousarray(images[start : start + _CHUNK]).tobytes())
    for start in range(0, len(table), _CHUNK):
        rows = table.iloc[start : start + _CHUNK]
        digest.update(rows.to_csv(index=False, header=start == 0, lineterminator="\n").encode())
    return digest.hexdigest()
