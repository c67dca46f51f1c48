"""Checkpoints that were damaged: training goes on from the one before, or from the beginning."""

import pickle
from pathlib import Path

import pandas as pd
import pytest
import torch

from ccl import checkpoints
from ccl.checkpoints import DAMAGED, LAST, PREVIOUS, TwoCheckpoints, latest_intact
from ccl.files import CHECKPOINTS
from tests.fitting import fit
from tests.payload import Payload
from tests.test_training import Batches, Line


class Stopped(RuntimeError):
    """Stands for whatever ends a training."""


def train(folder: Path, stop_in: int | None = None) -> tuple[list[int], Line, pd.DataFrame]:
    """Epochs that were trained now, the module and its whole history."""
    trained: list[int] = []

    def note(epoch: int) -> dict[str, float]:
        if epoch == stop_in:
            raise Stopped
        trained.append(epoch)
        return {}

    line = Line()
    history = fit(line, Batches(), epochs=5, folder=folder, seed=1, on_epoch_end=note)
    return trained, line, history


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Line, list[float]]:
    _, line, history = train(tmp_path_factory.mktemp("whole"))
    return line, history["loss"].tolist()


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """Checkpoints of a training that was stopped in epoch 3."""
    with pytest.raises(Stopped):
        train(tmp_path, stop_in=3)
    kept = tmp_path / CHECKPOINTS
    assert sorted(file.name for file in kept.iterdir()) == [LAST, PREVIOUS]
    return kept


def tear(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def flip(file: Path) -> None:
    """A bit of the first weight."""
    content = bytearray(file.read_bytes())
    weight = torch.load(file, weights_only=True)["state_dict"]["layer.weight"]
    content[content.index(weight.numpy().tobytes())] ^= 1
    file.write_bytes(content)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def replace_by_payload(file: Path) -> None:
    file.write_bytes(pickle.dumps(Payload(file.with_name("ran"))))


def replace_by_archived_payload(file: Path) -> None:
    torch.save({"state_dict": Payload(file.with_name("ran"))}, file)


@pytest.mark.parametrize(
    ("damage", "files"),
    [
        (tear, [LAST]),
        (flip, [LAST]),
        (empty, [LAST, PREVIOUS]),
        (replace_by_payload, [LAST, PREVIOUS]),
        (replace_by_archived_payload, [LAST]),
    ],
)
def test_a_damaged_checkpoint_is_named_put_aside_and_not_gone_on_from(
    damage, files, stopped, whole, caplog
) -> None:
    for file in files:
        damage(stopped / file)
    trained, line, history = train(stopped.parent)
    assert trained == ([2, 3, 4] if files == [LAST] else [0, 1, 2, 3, 4])
    assert torch.equal(line.layer.weight, whole[0].layer.weight)
    assert history["loss"].tolist() == whole[1]
    for file in files:
        assert f"checkpoint {stopped / file} is damaged" in caplog.text
    assert sorted(f.name for f in stopped.iterdir()) == [DAMAGED, LAST, PREVIOUS]  # no "ran"


def test_every_flipped_byte_is_noticed_or_harmless(stopped) -> None:
    """Names and padding within the archive carry no checksum, and nothing that training reads."""
    file = stopped / LAST
    content = file.read_bytes()
    expected = torch.load(file, weights_only=True)
    noticed = 0
    for at in range(0, len(content), 97):
        file.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        if checkpoints._fault(file):
            noticed += 1
        else:
            found = torch.load(file, weights_only=True)
            assert torch.equal(
                found["state_dict"]["layer.weight"], expected["state_dict"]["layer.weight"]
            )
            assert str(found) == str(expected)
    assert noticed > 10


def test_a_kill_between_two_writes_leaves_one_to_go_on_from(stopped, monkeypatch) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    before = (stopped / LAST).read_bytes()
    monkeypatch.setattr(checkpoints, "write_atomically", kill)
    with pytest.raises(KeyboardInterrupt):
        TwoCheckpoints().save_checkpoint({"epoch": 3}, stopped / LAST)
    found = latest_intact(stopped)
    assert found is not None
    assert found.read_bytes() == before
