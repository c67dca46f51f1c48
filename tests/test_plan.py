"""When a build looks again, and at what."""

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from companion.book.notebooks import imported
from companion.cohorts.releases.folder import FolderOptions
from companion.cohorts.releases.medmnist import MedMnistOptions
from companion.cohorts.releases.mini_mias import MiniMiasOptions
from companion.cohorts.releases.nih import NihOptions
from companion.engine import digests
from companion.experiments import config, plan

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
SOURCES = [
    (MiniMiasOptions(), "Info.txt"),
    (MedMnistOptions(archive="breastmnist.npz"), "breastmnist.npz"),
    (FolderOptions(manifest="tables/mine.csv"), "tables/mine.csv"),
    (NihOptions(), NihOptions().csv),
]


@pytest.mark.parametrize(("source", "table"), SOURCES, ids=lambda value: str(value)[:20])
def test_an_edited_table_is_looked_at_again(source, table, tmp_path, monkeypatch):
    base = config.experiment("tiny", "phantom-chest").model_copy(
        update={"source": source, "data_root": "data"}
    )
    monkeypatch.setattr(config, "experiment", lambda *_: base)
    monkeypatch.chdir(tmp_path)
    written: list[Path] = []
    write = plan.write_atomically
    monkeypatch.setattr(plan, "write_atomically", lambda *a: (written.append(a[0]), write(*a)))
    file = tmp_path / "data" / table
    file.parent.mkdir(parents=True)
    file.write_text("a")
    for _ in range(2):
        assert table in plan.refresh("tiny", source.source, "data")["tables"]
    assert len(written) == 1
    os.utime(file, (1, 1))
    for _ in range(2):
        plan.refresh("tiny", source.source, "data")
    assert len(written) == 2
    file.unlink()
    shutil.rmtree(tmp_path / "data")  # a disk that is not mounted
    plan.refresh("tiny", source.source, "data")
    assert len(written) == 2


def reached(*modules: str, parsed: dict[str, Any] = {}) -> set[Path | None]:  # noqa: B006
    """Files of some modules and of all that they import, each parsed once."""
    return {digests.module_path(name) for name in digests.import_closure(parsed, *modules)}


def test_what_notebooks_draw_with_is_watched() -> None:
    """Every module that a notebook reaches is code of a step, or calls the notebook again."""
    watched = set(plan.drawing_files()) | reached(*plan.STEPS)
    for notebook in NOTEBOOKS:
        for module in imported(notebook):
            assert reached(module) <= watched, (notebook.stem, module)
    assert {file.suffix for file in plan.drawing_files()} == {
        *(".py", ".js", ".css", ".html", ".md", ".svg")
    }


def test_an_edited_asset_is_another_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "companion" / "book" / "widgets").mkdir(parents=True)
    script = tmp_path / "companion" / "book" / "widgets" / "explorer.js"
    script.write_text("one")
    monkeypatch.setattr(plan, "ROOT", tmp_path)
    before = plan.assets_digest("cohort")
    assert plan.assets_digest("cohort") == before
    script.write_text("two")
    assert plan.assets_digest("cohort") != before


def test_another_record_is_another_page_of_the_record(tmp_path, monkeypatch):
    (tmp_path / "study" / "nih").mkdir(parents=True)
    table = tmp_path / "study" / "nih" / "results.csv"
    table.write_text("one")
    monkeypatch.setattr(plan, "repository_files", partial(plan.repository_files, root=tmp_path))
    before = {name: plan.assets_digest(name) for name in ("record", "probing")}
    table.write_text("two")
    after = {name: plan.assets_digest(name) for name in ("record", "probing")}
    assert [name for name in before if before[name] != after[name]] == ["record"]
