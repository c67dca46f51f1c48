"""The answers of `book/howto.md` work as they stand there."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ccl.objectives.batches import PairBatches
from ccl.pairs import Bank, Pairs
from companion import cli, strategies
from companion.cohorts.simulation.scanners import SCANNERS, Scanner
from companion.experiments import config

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book/howto.md").read_text()
SECTIONS = {
    part.partition("\n")[0]: part for part in re.split(r"^## \.\.\. ", PAGE, flags=re.MULTILINE)[1:]
}


def section(words: str) -> str:
    (found,) = [text for title, text in SECTIONS.items() if words in title]
    return found


def blocks(text: str, language: str) -> list[str]:
    fence = rf"^```(?:{{code-block}} ?)?{language}\n(?::caption: [^\n]*\n\n)?(.*?)^```"
    return re.findall(fence, text, re.MULTILINE | re.DOTALL)


def names_of(words: str) -> dict[str, object]:
    """What the Python code of a section defines, run from the root of the repository."""
    names: dict[str, object] = {}
    for code in blocks(section(words), "python"):
        exec(compile(code, words, "exec"), names)
    return names


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of profiles beside the repository's own, which the page's are put into."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    for name, text in re.findall(
        r"^```\{code-block\} yaml\n:caption: configs/(\S+)\n\n(.*?)^```", PAGE, re.M | re.S
    ):
        (tmp_path / "configs" / name).write_text(text)
    monkeypatch.setattr(config, "ROOT", tmp_path)
    return tmp_path


def test_own_images_are_understood(profiles: Path) -> None:
    """The manifest's columns, with more rows than the page has room for."""
    header, row, *_ = blocks(section("own images"), "")[0].splitlines()
    assert len(row.split(",")) == len(header.split(","))
    folder = profiles / "images"
    (folder / "a").mkdir(parents=True)
    lines = [header]
    for i in range(80):
        Image.fromarray(np.full((64, 64), i, np.uint8)).save(folder / f"a/{i}.png")
        lines.append(f"a/{i}.png,p{i},{'NS'[i % 2]},{('healthy', 'ill')[i // 2 % 2]},F")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    asked = ["cohort", "doctor", str(folder), "--profile", "mine", "--cohort", "folder"]
    answer = CliRunner().invoke(cli.app, asked)
    assert answer.exit_code == 0, answer.output
    assert "80" in answer.output


def test_an_own_scanner_is_rendered_and_takes_a_share(
    profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = names_of("simulate a scanner")
    image, zephyr = names["image"], names["zephyr"]
    assert isinstance(image, np.ndarray)
    assert isinstance(zephyr, Scanner)
    assert image.shape == (1, 64, 64)
    assert image.std() > 0
    with pytest.raises(ValueError, match="Zephyr"):
        config.experiment("windy", "phantom-chest")
    monkeypatch.setitem(SCANNERS["strong"], "Zephyr", zephyr)
    source = config.experiment("windy", "phantom-chest").source
    assert source.scanners == ("Aurora", "Boreal", "Zephyr")
    assert "Cirrus" in source.held_out_scanners


def test_an_own_objective_trains() -> None:
    history = names_of("add an objective")["history"]
    assert [row["epoch"] for row in history] == [0, 1]
    assert all(np.isfinite(row["loss"]) for row in history)


def test_an_own_strategy_never_pairs_an_image_with_itself() -> None:
    names = names_of("add a strategy")
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
    own = np.arange(12) % 3
    darker = [images // (1 + abs(own - k))[:, None, None].astype(np.uint8) for k in range(3)]
    bank = Bank(np.stack(darker, axis=1), position=np.arange(12))
    pairs = names["OtherScanner"](images, bank, own)
    for batch in PairBatches(pairs, np.arange(12), batch_size=6, seed=0).epoch(0):
        assert not any(np.array_equal(a, b) for a, b in zip(batch["a"], batch["b"], strict=True))
    usual = Pairs("counterfactual", images, bank).sources(np.arange(12), np.random.default_rng(0))
    assert any(np.array_equal(a, b) for a, b in zip(*usual, strict=True))


def test_an_own_strategy_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    line = names_of("add a strategy")["line"]
    monkeypatch.setattr(strategies, "STRATEGIES", {**strategies.STRATEGIES, **line})
    assert strategies.known("plusoracle") == "plusoracle"
    assert strategies.bank_of("plusoracle").made_by == "cohort"


def test_the_gains_are_those_of_every_scanner_and_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    gain = names_of("read a table")["gain"]
    assert {"Aurora", "Cirrus", "pooled"} <= set(gain.index)
    assert gain.shape[1] > 1
    assert gain.notna().all(axis=None)


def test_every_column_is_explained() -> None:
    from companion.evaluation.results import RESULT_COLUMNS

    explained = set(re.findall(r"`(\w+)`", section("read a table")))
    assert set(RESULT_COLUMNS) <= explained


def test_commands_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    lines = [line for text in blocks(PAGE, "sh") for line in text.splitlines()]
    assert len(lines) >= 3
    for line in lines:
        program, target, *options = line.split()
        if program == "make":
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), line
            profile = next(option for option in options if option.startswith("PROFILE="))
            assert f":caption: configs/{profile.removeprefix('PROFILE=')}.yaml" in PAGE
        else:
            assert program == ".venv/bin/ccl"
