"""Who is who: one patient or name in two spellings, one picture under two patients.

Splits go by patient. Whoever is listed as two people can be in training and in test.
"""

import hashlib
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from companion.cohorts.errors import CohortError
from companion.cohorts.importing.table import LINE, Table, normalise
from companion.engine.mapped import read_blocks

_INTEGER = re.compile(r"0*([0-9]+)(?:[.,]0+)?")
_ROUNDED = re.compile(r"[0-9](?:[.,][0-9]+)?E\+[0-9]+", re.IGNORECASE)
_EXAMPLES = 3  # pairs that a message names


def patient_key(text: str) -> str:
    """What the spellings of one identifier share: '12', '0012' and '12.0'; 'p7' and 'P 7'."""
    number = _INTEGER.fullmatch(normalise(text))
    return number[1] if number else normalise(text)


def require_one_spelling(table: Table, column: str, name: str, key: Callable[[str], str]) -> None:
    """Refuses a value that also occurs in another spelling, with the same `key`; names both rows.

    Args:
        table: the rows.
        column: of the table.
        name: of the column, for the message.
        key: what the spellings of one value share.
    """
    values = table.rows[[column, LINE]].drop_duplicates(column)
    keys = values[column].map(key)
    again = keys.duplicated()
    if again.any():
        value, line = values[again].iloc[0]
        other, first = values[keys == key(value)].iloc[0]
        raise CohortError(
            f"{table.path}, row {line}: {name} '{value}' is written '{other}' in row {first}; "
            "write each in one way, and different ones so that they differ in more than case, "
            "space or zeros"
        )


def require_unrounded(table: Table, column: str, name: str) -> None:
    """Refuses identifiers that a spreadsheet has rounded, which makes many patients one."""
    table.refuse(
        table[column].str.fullmatch(_ROUNDED).astype(bool),
        lambda row: (
            f"{name} '{row[column]}' was rounded by a spreadsheet; take the original table, or "
            "import the column as text"
        ),
    )


def duplicate_images(
    path: Path, frames: np.ndarray, rows: pd.DataFrame, published: bool
) -> list[str]:
    """Caveats about images that are listed for two patients: one or none.

    Args:
        path: the list, for the message.
        frames: uint8 (n, H, W), as imported; a file that was copied or saved anew gives the same.
        rows: n rows with patient_id, source_path, split and `LINE`.
        published: whether the list is a publisher's, whose splits stay as they are.

    Raises:
        CohortError: the list is the user's own and there are such pictures; names rows.
    """
    pairs = _duplicate_pairs(frames, rows)
    if not pairs:
        return []
    names, lines, splits = (rows[column].to_numpy() for column in ("source_path", LINE, "split"))
    examples = "; ".join(
        f"'{names[one]}' (row {lines[one]}) and '{names[other]}' (row {lines[other]})"
        for one, other in pairs[:_EXAMPLES]
    )
    if not published:
        raise CohortError(
            f"{path}, row {lines[pairs[0][1]]}: images of two patients hold the same picture, "
            f"{len(pairs):,} in all: {examples}; list each picture once, for the patient it is of"
        )
    leaking = sum(splits[one] != splits[other] for one, other in pairs)
    return [
        f"As published, images of two patients hold the same picture, {len(pairs):,} in all and "
        f"{leaking:,} of them in two splits: {examples}."
    ]


def _duplicate_pairs(frames: np.ndarray, rows: pd.DataFrame) -> list[tuple[int, int]]:
    """Places of the first and of a later image with its pixels, of different patients and files."""
    patients, files = rows["patient_id"].to_numpy(), rows["source_path"].to_numpy()
    first: dict[bytes, int] = {}
    pairs = []
    for place, frame in enumerate(chain.from_iterable(read_blocks(frames))):
        one = first.setdefault(hashlib.sha256(frame).digest(), place)
        if patients[one] != patients[place] and files[one] != files[place]:
            pairs.append((one, place))
    return pairs
