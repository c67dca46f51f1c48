"""The strategies' marks as small SVG images, for text and tables; in figures they are markers."""

from companion.book.figures.look import Mark

_SHAPES = {
    "o": '<circle cx="8" cy="8" r="6"/>',
    "s": '<rect x="2.5" y="2.5" width="11" height="11"/>',
    "D": '<path d="M8 1l7 7l-7 7l-7 -7z"/>',
    "^": '<path d="M8 2l7 12h-14z"/>',
    "v": '<path d="M8 14l7 -12h-14z"/>',
    "<": '<path d="M2 8l12 -7v14z"/>',
    ">": '<path d="M14 8l-12 -7v14z"/>',
    "x": '<path d="M3 3l10 10M13 3l-10 10" fill="none" stroke-width="2.5"/>',
    "p": '<path d="M8 1l7 5l-2.7 8.5h-8.6l-2.7 -8.5z"/>',
    "1": '<path d="M8 14v-6M8 8l-6 -4.5M8 8l6 -4.5" fill="none" stroke-width="2.5"/>',
    "P": '<path d="M5.5 1h5v4.5h4.5v5h-4.5v4.5h-5v-4.5h-4.5v-5h4.5z"/>',
}


def icon(mark: Mark) -> str:
    """A mark as an SVG image of 16 units, named after what it stands for."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" fill="{mark.colour}" '
        f'stroke="{mark.colour}">{_SHAPES[mark.marker]}</svg>\n'
    )
