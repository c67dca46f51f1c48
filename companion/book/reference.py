"""A Sphinx extension: what the reference shows of classes.

Of options their names, types and defaults: pydantic's own signatures spell out every constraint and
every default of options within options. Of others also what their `__init__` takes.
"""

import inspect
import re
from typing import Any, get_type_hints

from sphinx.application import Sphinx
from sphinx.util.inspect import stringify_signature

from ccl.options import Options

_SIGNATURE = re.compile(r'<dt class="sig .*?</dt>', re.DOTALL)


class _Written:
    """A default that is shown as it would be typed."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def options_signature(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str
) -> tuple[str, str]:
    """The signature of a class of options; of anything else autodoc's, which has to be Python."""
    if what != "class" or not issubclass(obj, Options):
        return (signature or "").replace("<factory>", "..."), returned
    types = get_type_hints(obj)  # without what `Annotated` adds
    parameters = [
        inspect.Parameter(
            field,
            inspect.Parameter.KEYWORD_ONLY,
            default=_default(known),
            annotation=types[field],
        )
        for field, known in obj.model_fields.items()
    ]
    return stringify_signature(inspect.Signature(parameters), unqualified_typehints=True), ""


def _default(field: Any) -> Any:
    if field.is_required():
        return inspect.Parameter.empty
    default = field.get_default(call_default_factory=True)
    if isinstance(default, Options):
        own = default.model_dump(exclude_defaults=True)
        changed = ", ".join(f"{name}={value!r}" for name, value in own.items())
        return _Written(f"{type(default).__name__}({changed})")
    return default


def add_arguments(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Puts the arguments of a class's own `__init__` into its docstring, before its source."""
    own = inspect.getdoc(vars(obj).get("__init__")) if what == "class" else None
    if own is None or "Args:\n" not in own:
        return
    at = lines.index("Source:") if "Source:" in lines else len(lines)
    lines[at:at] = ["", *own[own.index("Args:\n") :].splitlines(), ""]


def read_in_parallel(app: Sphinx) -> None:
    """Lets several processes read: the extension that numbers chapters does so after."""
    if numbering := app.extensions.get("sphinx_multitoc_numbering"):
        numbering.parallel_read_safe = True


def plain_signatures(
    app: Any, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Writes the lines of long signatures as blocks.

    Sphinx has them as a list of definitions without terms, which no screen reader makes sense of.
    """
    if "body" in context:
        context["body"] = _SIGNATURE.sub(lambda found: _as_blocks(found[0]), context["body"])


def _as_blocks(signature: str) -> str:
    for tag in ("dl", "dd"):
        signature = signature.replace(f"<{tag}>", f'<span class="ccl-sig-{tag}">')
        signature = signature.replace(f"</{tag}>", "</span>")
    return signature


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", read_in_parallel)
    app.connect("autodoc-process-signature", options_signature)
    app.connect("autodoc-process-docstring", add_arguments, priority=400)  # before napoleon's 500
    app.connect("html-page-context", plain_signatures)
    return {"parallel_read_safe": True}
