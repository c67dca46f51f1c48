"""What widgets put into a page: scripts, data that cannot leave their element, images."""

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
from PIL import Image


def script_json(data: Any) -> str:
    """JSON that cannot leave the <script> element it stands in."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def png_base64(image: np.ndarray) -> str:
    """A uint8 image as base64 of its PNG, to stand inside a page."""
    return base64.b64encode(png(image)).decode("ascii")


def component(
    page: str, data: Any, *, styles: Sequence[str], scripts: Sequence[str], render: str
) -> str:
    """A widget as an HTML fragment that loads nothing; several may stand on one page.

    Args:
        page: file of its element.
        data: what the script reads.
        styles, scripts: files beside this module, in order.
        render: the function of the scripts that is called with the data and the element.
    """
    text = script_json(data)
    parts = {
        "css": "".join(map(asset, styles)),
        "js": "\n".join(map(asset, (*scripts, "start.js"))),
        "render": render,
        "key": hashlib.sha256(text.encode()).hexdigest()[:12],
        "data": text,  # last: whatever stands in it is not looked at again
    }
    return filled(page, parts)


def filled(name: str, parts: Mapping[str, str]) -> str:
    """A page beside this module with its @@places@@ filled in, in the order of the parts."""
    page = asset(name)
    for place, part in parts.items():
        page = page.replace(f"@@{place}@@", part)
    return page


def asset(name: str) -> str:
    """The text of a file in `companion/book/widgets/`."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
