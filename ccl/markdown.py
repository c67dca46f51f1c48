"""Markdown that names out of data cannot break."""

from collections.abc import Sequence


def escape(text: object) -> str:
    """Text that Markdown and HTML show as it is."""
    return "".join(f"&#{ord(c)};" if c in "\\`*_{}[]<>|$#&~^:@\"'\n\r" else c for c in str(text))


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; every cell is escaped."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(escape(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
