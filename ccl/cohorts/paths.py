"""Paths that come from a table are not trusted to stay where they belong."""

from pathlib import Path


def inside(path: Path, root: Path) -> bool:
    """Whether a path, with its links followed, lies in a folder."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (ValueError, OSError, RuntimeError):  # a NUL character, a name too long, a loop
        return False
