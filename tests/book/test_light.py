"""Pages lose the scripts that they have no use for, and nothing else."""

from pathlib import Path

from companion.book.light import lighten

MATHJAX = '<script defer="defer" src="../_static/mathjax/tex-svg.js?v=1"></script>\n'
ICONS = '<script defer src="../_static/scripts/fontawesome.js?digest=2"></script>\n'
REST = '<script src="../_static/doctools.js"></script><i class="fa-solid"></i>'


def test_scripts_without_use_are_taken_out(tmp_path: Path) -> None:
    equation = '<span class="math notranslate">x</span>'
    (tmp_path / "words.html").write_text(MATHJAX + ICONS + REST)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "math.html").write_text(MATHJAX + ICONS + REST + equation)
    lighten(tmp_path)
    assert (tmp_path / "words.html").read_text() == REST
    assert (tmp_path / "below" / "math.html").read_text() == MATHJAX + REST + equation
