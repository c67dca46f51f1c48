"""Pointers to finished steps."""

import shutil
from pathlib import Path

import pytest

from companion.engine import pointers
from companion.engine.runs import Step


def test_a_step_whose_folder_was_deleted_is_done_again(tmp_path: Path) -> None:
    made = {}
    for name in ("kept", "deleted"):
        made[name] = Step(tmp_path, name, {}, {}, ("ccl.pairs",)).run(lambda _: None)
        pointers.write_pointer(tmp_path, name, made[name])
    shutil.rmtree(made["deleted"].folder)
    with pytest.raises(FileNotFoundError, match=r"run the step deleted again \(`make book`\)"):
        pointers.read_pointer(tmp_path, "deleted")
    pointers.remove_dangling(tmp_path)
    assert list(pointers.finished_runs(tmp_path)) == ["kept"]
    assert [file.name for file in (tmp_path / "steps").iterdir()] == ["kept.json"]


def test_without_any_step_nothing_is_lost(tmp_path: Path) -> None:
    pointers.remove_dangling(tmp_path / "absent")


def test_a_damaged_pointer_is_written_anew(tmp_path: Path) -> None:
    run = Step(tmp_path, "step", {}, {}, ("ccl.pairs",)).run(lambda _: None)
    pointers.write_pointer(tmp_path, "step", run)
    (tmp_path / "steps" / "step.json").write_text("{")
    pointers.write_pointer(tmp_path, "step", run)
    assert pointers.read_pointer(tmp_path, "step").folder == run.folder
