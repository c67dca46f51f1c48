"""Files that are either whole or absent."""

import os
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file so that it is never seen half-written."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    os.replace(partial, path)
