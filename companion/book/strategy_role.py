"""A Sphinx extension: {strategy}`CF-SimCLR` in prose is the name after its icon, as in figures."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from companion.book.figures.icons import icon_html
from companion.book.figures.look import marks_by_label


class StrategyRole(SphinxRole):
    """A strategy by its label, or by any words before its label in angle brackets."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """The icon and the words; an error where no strategy has the label."""
        words, _, label = self.text.rstrip(">").rpartition("<")
        mark = marks_by_label().get(label)
        if mark is None:
            return [], [self.inliner.reporter.error(f"no strategy is called '{label}'")]
        icon = nodes.raw("", icon_html(mark), format="html")
        return [icon, nodes.Text(words.strip() or label)], []


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_role("strategy", StrategyRole())
    return {"parallel_read_safe": True}
