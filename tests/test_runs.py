from pathlib import Path

import pytest

from companion.engine import digests, runs
from companion.engine.digests import code_digest
from companion.engine.runs import Step


def step(root: Path, **changes) -> Step:
    fields = {"name": "probe", "options": {"a": 1}, "inputs": {}, "modules": ("ccl.pairs",)}
    return Step(root, **{**fields, **changes})


def write(folder: Path) -> dict[str, int]:
    (folder / "result.txt").write_text("whole")
    return {"items": 1}


def test_a_finished_step_is_loaded_not_repeated(tmp_path):
    first = step(tmp_path).run(write)
    second = step(tmp_path).run(lambda folder: pytest.fail("computed again"))
    assert second.folder == first.folder
    assert second.record["noted"] == {"items": 1}
    assert set(second.record["checksums"]) == {"result.txt"}
    assert {"git_revision", "device", "seconds", "options", "python"} <= set(second.record)
    assert second.record["versions"]["torch"]


def test_a_killed_step_leaves_no_result_and_goes_on(tmp_path):
    def killed(folder):
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step(tmp_path).run(killed)
    assert not step(tmp_path).folder.exists()

    def resumed(folder):
        assert (folder / "half").read_text() == "half"

    done = step(tmp_path).run(resumed)
    assert (done.folder / "run.json").is_file()
    assert done.record["continued"]  # so that nobody takes its seconds for all
    assert not step(tmp_path, name="other").run(write).record["continued"]


def test_a_training_is_not_lost_before_its_record_is_whole(tmp_path, monkeypatch):
    """Its checkpoints stay until then, and are no results."""

    def trained(folder):
        write(folder)
        (folder / "checkpoints").mkdir(exist_ok=True)
        (folder / "checkpoints" / "last.ckpt").touch()

    with monkeypatch.context() as patch:
        patch.setattr(runs, "write_atomically", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            step(tmp_path).run(trained)
    partial = step(tmp_path).folder.with_suffix(".partial")
    assert (partial / "checkpoints" / "last.ckpt").exists()
    done = step(tmp_path).run(trained)
    assert set(done.record["checksums"]) == {"result.txt"}
    assert sorted(path.name for path in done.folder.iterdir()) == ["result.txt", "run.json"]


def test_the_digest_depends_on_options_inputs_and_code(tmp_path):
    base = step(tmp_path)
    made = base.run(write)
    others = [
        step(tmp_path, options={"a": 2}),
        step(tmp_path, inputs={"x": made}),
        step(tmp_path, modules=("ccl.losses.nt_xent",)),
        step(tmp_path, name="other"),
    ]
    assert len({base.digest, *(other.digest for other in others)}) == 5


def test_the_code_digest_covers_imports_and_ignores_comments(tmp_path, monkeypatch):
    package = tmp_path / "ccl"
    package.mkdir()
    files = {"__init__": "", "a": "from ccl import b\n", "b": '"""Doc."""\nx = 1\n', "c": "y = 1\n"}

    def digest(**changed: str) -> str:
        for name, text in (files | changed).items():
            (package / f"{name}.py").write_text(text)
        for cached in (code_digest, digests._code, digests._imports):
            cached.cache_clear()
        return code_digest("ccl.a")

    with monkeypatch.context() as patch:
        patch.setattr(digests, "ROOT", tmp_path)
        before = digest()
        assert digest(b='"""Other words."""\n# why\nx = 1\n', c="y = 2\n") == before
        assert digest(b="x = 2\n") != before
    for cached in (code_digest, digests._code, digests._imports):
        cached.cache_clear()


def test_a_step_depends_on_its_own_function_and_on_those_it_calls(tmp_path, monkeypatch):
    def digest(text):
        (tmp_path / "ccl" / "step.py").write_text(text)
        digests.function_digest.cache_clear()
        return digests.function_digest(train)

    def train(x):
        """Stands for the one in the file."""

    train.__module__ = "ccl.step"
    (tmp_path / "ccl").mkdir()
    monkeypatch.setattr(digests, "ROOT", tmp_path)

    text = 'def train(x):\n    """Trains."""\n    return _half(x)\n\n'
    text += "def _half(x):\n    return x / 2\n\ndef judge(x):\n    return x\n"
    whole = digest(text)
    assert digest(text.replace("Trains", "Fits")) == whole
    assert digest(text.replace("return x\n", "return -x\n")) == whole
    assert digest(text.replace("x / 2", "x / 3")) != whole
    assert digest(text.replace("_half(x)\n\n", "_half(2 * x)\n\n")) != whole
