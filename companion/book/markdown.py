"""Markdown that names out of data cannot break."""

import re
from collections.abc import Sequence

# What begins a comment, a new block or the name of a place where it begins a line.
_AT_THE_START = re.compile(r"%|\+\+\+|\(")


def escape(text: object) -> str:
    """Text that Markdown and HTML show as it is."""
    shown = str(text)
    first = 1 if _AT_THE_START.match(shown) else 0
    return "".join(
        f"&#{ord(c)};" if place < first or c in "\\`*_{}[]<>|$#&~^:@\"'\n\r" else c
        for place, c in enumerate(shown)
    )


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; every cell is escaped."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(escape(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def raw(html: str) -> str:
    """HTML as Markdown that leaves it as it is."""
    return f"```````{{raw}} html\n{html}\n```````\n" if html else ""
