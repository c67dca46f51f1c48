"""Names out of data are shown as they are and run nowhere: in book, figures, tables, folders."""

import pickle
import re
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from docutils import nodes
from docutils.core import publish_doctree
from myst_parser.docutils_ import Parser
from typer.testing import CliRunner

from ccl.encoders.encoder import EncoderOptions, build_encoder
from companion import ROOT, cli
from companion.book.figures.canvas import new_figure
from companion.book.figures.look import style
from companion.book.heading import heading
from companion.book.markdown import escape, table
from companion.cohorts.cohort import Cohort
from companion.engine.csv_files import read_table, write_table
from companion.experiments import config, profiles
from tests.payload import Payload

MARKDOWN = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![seen](https://example.org/pixel.png)",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "```{include} /etc/passwd",
    ":::{raw} html",
    "{eval-rst}`x` {ref}`y` {download}`/etc/passwd`",
    "$\\input{/etc/passwd}$",
    "% all that follows is a comment",
    "+++",
    "(a-target)=",
    "a | b",
    "two\nlines\n\n# heading",
    "<https://example.org> https://example.org me@example.org",
    "&lt;b&gt; &#60;b&#62;",
    "^[foot] [^note] ~~gone~~ **bold** _it_",
]

FOLD = re.compile(r'</?(summary|b|details)>|<details class="ccl-about">')


def as_read(markdown: str) -> str:
    """What a reader of the book sees of some Markdown, which has to be text and nothing else."""
    extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]  # as in _config.yml
    settings = {"myst_enable_extensions": extensions, "report_level": 2, "halt_level": 2}
    tree = publish_doctree(markdown, parser=Parser(), settings_overrides=settings)
    for raw in list(tree.findall(nodes.raw)):  # the fold of a heading, and names in it
        text = FOLD.sub("", raw.astext())
        assert "<" not in text
        raw.parent.replace(raw, nodes.Text(unescape(text)))
    kinds = {type(node).__name__ for node in tree.findall()}
    assert kinds <= {"document", "bullet_list", "list_item", "paragraph", "Text", "strong"}, kinds
    return tree.astext()


def test_the_extensions_are_those_of_the_book() -> None:
    text = (Path(__file__).parents[1] / "_config.yml").read_text()
    assert "myst_enable_extensions: [amsmath, colon_fence, deflist, dollarmath]" in text


@pytest.mark.parametrize("name", MARKDOWN)
def test_the_book_shows_names_as_they_are(name: str) -> None:
    assert as_read(f"- {escape(name)}") == name
    assert as_read(escape(name)) == name
    assert not re.search(r"[<`{}$]", table(("name",), [(name,)]))


@pytest.mark.parametrize("name", MARKDOWN[::3])
def test_headings_show_cohort_caveats_and_citation_as_they_are(name: str) -> None:
    info = {"name": name, "caveats": [name, "Few images."], "citation": name}
    cohort = Cohort(Path(), info, np.zeros((1, 8, 8), np.uint8), pd.DataFrame({"split": ["train"]}))
    base = config.experiment("tiny", "phantom-chest")
    read = as_read(heading(base.model_copy(update={"profile_name": name, "remark": name}), cohort))
    assert read.count(name) == 5
    short = base.model_copy(update={"profile_name": name, "left_out": {"oracle": name}})
    assert f"Strategy 'oracle' is left out: {name}." in as_read(heading(short, cohort))


def test_dollars_in_a_figure_are_dollars() -> None:
    with style():
        figure = new_figure(2.0)
        axes = figure.subplots()
        axes.plot([0, 1], label="$\\frac{$")
        axes.set_title("scanner $\\notacommand$")
        axes.set_xticks([0, 1], ["$\\a$", "$b$"])
        axes.legend()
    assert figure._repr_svg_()


FORMULAS = ["=cmd|' /C calc'!A0", "+1+cmd", "-2+3+cmd", "@SUM(A1)", "\t=1+1", "'=1", "''@x"]


def test_no_name_is_a_formula_in_a_spreadsheet(tmp_path: Path) -> None:
    plain = ["A", "it's", "'quoted'", "DR-0.143", "NA"]
    names = [*FORMULAS, *plain]
    numbers = np.linspace(-1, 1, len(names))
    frame = pd.DataFrame(
        {"domain": names, "value": numbers, "=evil": names, "n": range(len(names))}
    )
    frame["scanner"] = pd.Categorical(names)
    file = tmp_path / "results.csv"
    write_table(frame, file)
    raw = pd.read_csv(file, dtype=str, keep_default_na=False)
    for column in ("domain", "'=evil", "scanner"):
        assert not raw[column].str.match(r"[=+\-@\t\r]").any()
        assert set(plain) <= set(raw[column])
    assert raw["value"].astype(float).tolist() == pytest.approx(numbers.tolist())
    assert raw["value"][0] == "-1.0"
    read = read_table(file)
    pd.testing.assert_frame_equal(read, frame.astype({"scanner": read["scanner"].dtype}))


@pytest.mark.parametrize("name", ["1", "007", "1e5", "True"])
def test_a_name_that_looks_like_a_number_stays_a_name(name: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"cohort": [name], "scanner": name, "predicted": name, "n": 3})
    write_table(frame, tmp_path / "confusion.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "confusion.csv"), frame)


def test_every_table_of_results_is_written_so() -> None:
    """Whatever else writes CSV holds no names out of data."""
    root = ROOT / "companion"
    files = (file for file in root.rglob("*.py") if ".to_csv(" in file.read_text())
    without = {"cohorts/cohort.py", "cohorts/importing/writer.py", "engine/csv_files.py"}
    without |= {"experiments/generator.py", "experiments/pretraining.py"}  # histories
    assert {str(file.relative_to(root)) for file in files} == without


@pytest.mark.parametrize(
    ("profile", "cohort"),
    [
        ("../configs/tiny", "phantom-chest"),
        ("/etc/passwd", "phantom-chest"),
        (".tiny", "phantom-chest"),
        ("", "phantom-chest"),
        ("tiny", "../../elsewhere"),
        ("tiny", "/elsewhere"),
    ],
)
def test_names_do_not_lead_out_of_the_runs(profile, cohort, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--profile", profile, "--cohort", cohort]
    answer = CliRunner().invoke(cli.app, ["run", "cohort", *options])
    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["../out", "a/b", "..", "Upper", "with space", "new\nline", "1.5"])
def test_a_profile_cannot_name_a_cohort_so(name: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"cohorts: {{{name!r}: {{source: folder}}}}")
    with pytest.raises(ValueError, match="cannot be the name of a cohort"):
        profiles.read(tmp_path, "mine", name)


def test_a_base_cannot_lead_out_and_objects_in_a_profile_are_not_made(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("base: ../mine")
    with pytest.raises(ValueError, match=r"'\.\./mine' cannot be the name of a profile"):
        profiles.read(tmp_path, "mine", "a")
    proof = tmp_path / "proof"
    text = f"cohorts: !!python/object/apply:os.mkdir ['{proof}']"
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"mine\.yaml, line 1: this is no YAML"):
        profiles.read(tmp_path, "mine", "a")
    assert not proof.exists()


@pytest.mark.parametrize("suffix", ["pt", "safetensors", "npy"])
def test_a_pickle_is_not_run_as_initial_weights(tmp_path: Path, suffix: str) -> None:
    weights = tmp_path / f"weights.{suffix}"
    weights.write_bytes(pickle.dumps(Payload(tmp_path / "proof")))
    with pytest.raises(ValueError, match="other formats may run code when opened"):
        build_encoder(EncoderOptions(pretrained=str(weights)), (32, 32))
    assert not (tmp_path / "proof").exists()
