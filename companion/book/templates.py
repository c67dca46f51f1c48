"""HTML, drawings and Markdown from Jinja templates, in which names out of data are text."""

import base64
import io
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from companion.book.markdown import escape


def png(image: np.ndarray) -> bytes:
    """A uint8 image, (H, W) or (H, W, 3), as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def png_uri(image: np.ndarray) -> str:
    """A uint8 image as an address that holds all of it, to stand inside a page."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode("ascii")


def _rounded(value: Any) -> Any:
    return f"{value:g}" if isinstance(value, float) else value


def _as_markdown(value: Any) -> Any:
    return value if isinstance(value, Markup) else Markup(escape(value))


_HTML = Environment(
    loader=PackageLoader("companion.book"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_rounded,
)
_HTML.filters["png_uri"] = png_uri
_HTML.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
_MARKDOWN = _HTML.overlay(finalize=_as_markdown)


def render(name: str, /, **values: Any) -> str:
    """A template of `companion/book/templates/` with values filled in and escaped.

    Args:
        name: of its file; what is filled into `*.md` is escaped for Markdown, else for HTML.
        values: by their names in the template; numbers are written with six digits.
    """
    return (_MARKDOWN if name.endswith(".md") else _HTML).get_template(name).render(values)
