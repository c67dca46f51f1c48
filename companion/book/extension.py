"""The book's Sphinx extension: strategies in prose, the book's card, classes in the reference.

{strategy}`CF-SimCLR` in prose is the name after its icon, as in figures.

Pages name the card that is shown where their address is shared. Whoever shows it needs its whole
address. That of the book is `html: baseurl` in `_config.yml`, or what the variable CCL_BOOK_URL
says; without one no card is named: this book does not know where it is kept.

The reference shows names, types and defaults of options (pydantic's own signatures spell out every
constraint and every default of options within options); of others also what their `__init__` takes.
"""

import inspect
import os
import re
from typing import Any, get_type_hints

from docutils import nodes
from markupsafe import Markup
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole
from sphinx.util.inspect import stringify_signature

from ccl.options import Options
from companion.book.figures.look import MARKS_BY_LABEL

CARD = "_static/card.png"
_CARD_TAGS = (
    '<meta property="og:image" content="{}" />'
    '<meta name="twitter:card" content="summary_large_image" />'
)
_SIGNATURE = re.compile(r'<dt class="sig .*?</dt>', re.DOTALL)


class StrategyRole(SphinxRole):
    """A strategy by its label, or by any words before its label in angle brackets."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """The icon and the words; an error where no strategy has the label."""
        words, _, label = self.text.rstrip(">").rpartition("<")
        mark = MARKS_BY_LABEL.get(label)
        if mark is None:
            return [], [self.inliner.reporter.error(f"no strategy is called '{label}'")]
        return [nodes.raw("", mark.icon, format="html"), nodes.Text(words.strip() or label)], []


def read_address(app: Any, config: Any) -> None:
    """Takes the address of the variable, where it is set.

    Raises:
        ValueError: it is no address of the web.
    """
    config.html_baseurl = os.environ.get("CCL_BOOK_URL") or config.html_baseurl
    if config.html_baseurl and not config.html_baseurl.startswith(("https://", "http://")):
        raise ValueError(
            f"address of the book '{config.html_baseurl}': expected one such as "
            "https://somebody.github.io/ccl (CCL_BOOK_URL, or `html: baseurl` in _config.yml)"
        )


def name_card(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Adds the card to what a page says of itself."""
    if base := app.config.html_baseurl:
        tags = Markup(_CARD_TAGS).format(f"{base.rstrip('/')}/{CARD}")
        context["metatags"] = context.get("metatags", "") + tags


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
    by_name = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(field, by_name, default=_default(known), annotation=types[field])
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


def read_in_parallel(app: Sphinx) -> None:
    """Lets several processes read: the extension that numbers chapters does so after."""
    if numbering := app.extensions.get("sphinx_multitoc_numbering"):
        numbering.parallel_read_safe = True


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_role("strategy", StrategyRole())
    app.connect("config-inited", read_address)
    app.connect("builder-inited", read_in_parallel)
    app.connect("autodoc-process-signature", options_signature)
    app.connect("autodoc-process-docstring", add_arguments, priority=400)  # before napoleon's 500
    app.connect("html-page-context", name_card)
    app.connect("html-page-context", plain_signatures)
    return {"parallel_read_safe": True}
