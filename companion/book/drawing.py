"""Diagrams as SVG whose colours follow the page, light or dark."""

from html import escape

import numpy as np

from companion.book.widgets.page import png_base64

INK, FAINT, LINE = (
    "var(--ccl-ink, #1f2933)",
    "var(--ccl-faint, #52606d)",
    "var(--ccl-line, #9aa5b1)",
)
CARD, BRAND = "var(--ccl-card, #ffffff)", "var(--ccl-brand, #00785a)"
PULL, PUSH = "var(--ccl-pull, #00785a)", "var(--ccl-push, #b34700)"

Point = tuple[float, float]


def svg(width: float, height: float, title: str, *parts: str) -> str:
    """An image of some size, named for those who do not see it."""
    heads = "".join(
        f'<marker id="ccl-head-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="{colour}"/>'
        "</marker>"
        for name, colour in _HEADS.items()
    )
    return (
        f'<svg class="ccl-drawing" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="14" '
        f'style="max-width: {width * 1.35:g}px"><defs>{heads}</defs>{"".join(parts)}</svg>'
    )


_HEADS = {"ink": INK, "pull": PULL, "push": PUSH, "line": LINE, "brand": BRAND}
_COLOURS = {"ink": INK, "pull": PULL, "push": PUSH, "line": LINE, "faint": FAINT, "brand": BRAND}


def text(
    at: Point, words: str, *, colour: str = "ink", size: float = 14, bold: bool = False
) -> str:
    """A line of words around a point."""
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{at[0]:g}" y="{at[1]:g}" text-anchor="middle" font-size="{size:g}" '
        f'fill="{_COLOURS[colour]}"{weight}>{escape(words)}</text>'
    )


def picture(at: Point, size: Point, image: np.ndarray) -> str:
    """A uint8 image (H, W) with its upper left corner at a point."""
    return (
        f'<image x="{at[0]:g}" y="{at[1]:g}" width="{size[0]:g}" height="{size[1]:g}" '
        f'href="data:image/png;base64,{png_base64(image)}"/>'
    )


def box(
    at: Point, size: Point, *, colour: str = "line", round_: float = 8, fill: str = CARD
) -> str:
    """A rounded box with its upper left corner at a point."""
    return (
        f'<rect x="{at[0]:g}" y="{at[1]:g}" width="{size[0]:g}" height="{size[1]:g}" '
        f'rx="{round_:g}" fill="{fill}" stroke="{_COLOURS[colour]}" stroke-width="1.5"/>'
    )


def arrow(start: Point, end: Point, *, colour: str = "ink", dashed: bool = False) -> str:
    """A straight arrow."""
    return path(f"M{start[0]:g} {start[1]:g}L{end[0]:g} {end[1]:g}", colour=colour, dashed=dashed)


def path(d: str, *, colour: str = "ink", dashed: bool = False, head: bool = True) -> str:
    """A line along an SVG path, with an arrow's head at its end."""
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    end = f' marker-end="url(#ccl-head-{colour})"' if head else ""
    return f'<path d="{d}" fill="none" stroke="{_COLOURS[colour]}" stroke-width="1.8"{dash}{end}/>'


def circle(at: Point, radius: float, *, colour: str = "line", fill: str = "none") -> str:
    """A circle around a point."""
    return (
        f'<circle cx="{at[0]:g}" cy="{at[1]:g}" r="{radius:g}" fill="{fill}" '
        f'stroke="{_COLOURS[colour]}" stroke-width="1.5"/>'
    )


def dot(at: Point, *, colour: str) -> str:
    """A filled point."""
    return f'<circle cx="{at[0]:g}" cy="{at[1]:g}" r="6" fill="{_COLOURS[colour]}"/>'
