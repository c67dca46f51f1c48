"""The reference of `ccl` names all there is."""

import re
from pathlib import Path

import ccl.losses
from ccl.pairs import Pairs
from ccl.views.options import CropOptions
from companion.book.reference import add_arguments, options_signature, plain_signatures

ROOT = Path(__file__).parents[2]
PAGES = {path.stem: path.read_text() for path in sorted((ROOT / "book/api").glob("*.md"))}


def documented(page: str) -> set[str]:
    return set(re.findall(r"^\.\. auto\w+:: (\S+)$", PAGES[page], re.MULTILINE))


def test_every_subpackage_has_a_page_with_all_its_modules() -> None:
    folders = {path.parent for path in (ROOT / "ccl").glob("*/__init__.py")}
    assert {folder.name for folder in folders} | {"pairs"} == set(PAGES)
    for folder in folders:
        modules = {f"ccl.{folder.name}.{p.stem}" for p in folder.glob("*.py")}
        modules -= {f"ccl.{folder.name}.__init__"}
        if folder.name == "losses":
            modules = {f"ccl.losses.{name}" for name in ccl.losses.__all__}
        assert modules <= documented(folder.name)
    assert documented("pairs") == {"ccl.pairs"}


def test_options_are_shown_as_they_would_be_typed() -> None:
    shown = options_signature(None, "class", "", CropOptions, None, "", "")
    assert "local_crops: int = 4" in shown[0]
    assert "blur_probability: tuple[float, float, float] = (1.0, 0.1, 0.5)" in shown[0]
    assert "GlobalCropOptions = GlobalCropOptions()" in shown[0]
    assert options_signature(None, "class", "", dict, None, "(a=<factory>)", "") == ("(a=...)", "")


def test_a_class_is_shown_with_what_it_takes() -> None:
    lines = ["Source images.", "", "Source:", "    A paper."]
    add_arguments(None, "class", "", Pairs, None, lines)
    assert "    strategy: how partners are made." in lines
    assert lines.index("Args:") < lines.index("Source:")
    add_arguments(None, "class", "", CropOptions, None, untouched := ["Crops."])
    assert untouched == ["Crops."]


def test_long_signatures_are_no_list_of_definitions() -> None:
    signature = '<dt class="sig py" id="f">f(\n<dl>\n<dd>a,</dd>\n</dl>\n)</dt>'
    described = "<dd><dl><dt>Returns</dt><dd>b</dd></dl></dd>"
    context = {"body": f"<dl>{signature}{described}</dl>"}
    plain_signatures(None, "api/losses", "page.html", context, None)
    lines = '<span class="ccl-sig-dl">\n<span class="ccl-sig-dd">a,</span>\n</span>'
    assert context["body"] == f'<dl><dt class="sig py" id="f">f(\n{lines}\n)</dt>{described}</dl>'
