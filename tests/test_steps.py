"""The steps' digests: what makes a run another run."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file

from ccl import devices, trainer
from ccl.encoders.encoder import EncoderOptions, build_encoder
from ccl.generator import generator as trained_generator
from ccl.generator.classifier import ClassifierOptions
from ccl.generator.finetuning import TuningOptions
from ccl.objectives.simclr import SimCLROptions
from companion import ROOT, strategies
from companion.cohorts.cohort import Cohort
from companion.engine import storage
from companion.experiments import bank, config, generator
from companion.experiments import quality as quality_step
from companion.experiments.bank import make_bank
from companion.experiments.cohort import make_cohort
from companion.experiments.config import EncoderName, Experiment, VariantOptions, experiment
from companion.experiments.evaluation import RESULTS_FILE, evaluate
from companion.experiments.finetuning import finetune_encoder
from companion.experiments.generator import train_generator
from companion.experiments.pretraining import encoder_of, initial_encoder, pretrain
from companion.experiments.quality import measure_quality
from companion.quality import abduction, measuring
from tests.changed import changed

_CREATE = timm.create_model


def test_other_initial_weights_in_the_same_file_are_another_run(tmp_path: Path) -> None:
    weights = tmp_path / "initial.safetensors"
    base = experiment("tiny", "phantom-chest")
    simclr = SimCLROptions(encoder=EncoderOptions(pretrained=str(weights)))
    few = {"source__n_train": 70, "source__n_val": 30, "source__n_test_per_scanner": 30}
    mine = changed(base, root=tmp_path / "runs", pretraining__simclr=simclr, **few)
    control = EncoderName("simclr", "random", 0)
    folders = set()
    for seed in (0, 1):
        torch.manual_seed(seed)
        backbone = build_encoder(EncoderOptions(), (32, 32)).backbone
        save_file(backbone.state_dict(), weights)
        folders |= {evaluate(mine, control).folder for _ in range(2)}
    assert len(folders) == 2


def test_a_finished_encoder_opens_without_its_initial_weights(tmp_path, monkeypatch):
    mine = _from_imagenet(tmp_path)
    name, control = EncoderName("simclr", "standard", 0), EncoderName("simclr", "random", 0)
    images = Cohort.load(make_cohort(mine).folder)
    _publish(monkeypatch)
    drawn = []
    for _ in ("published", "kept"):  # what is drawn afterwards does not depend on it
        initial_encoder(mine, images, name)
        drawn.append(torch.rand(1).item())
    assert drawn[0] == drawn[1]
    trained = encoder_of(mine, images, name).state_dict()
    started = encoder_of(mine, images, control).state_dict()
    _publish(monkeypatch, online=False)
    for of, before in ((name, trained), (control, started)):
        again = encoder_of(mine, images, of).state_dict()
        assert all(torch.equal(again[key], value) for key, value in before.items())
    assert not torch.equal(trained["backbone.conv1.weight"], started["backbone.conv1.weight"])


def _from_imagenet(folder: Path) -> Experiment:
    """A few images and a SimCLR encoder that starts from published weights."""
    base = experiment("tiny", "phantom-chest")
    simclr = SimCLROptions(
        encoder=EncoderOptions(architecture="resnet18", pretrained="imagenet"),
        epochs=1,
        batch_size=8,
        max_steps=1,
        warmup_epochs=0,
    )
    few = {"source__n_train": 20, "source__n_val": 6, "source__n_test_per_scanner": 4}
    return changed(base, root=folder / "runs", pretraining__simclr=simclr, **few)


def _publish(monkeypatch: pytest.MonkeyPatch, online: bool = True) -> None:
    """Has timm publish random weights of few channels, or raise where somebody asks for any."""

    def create(name: str, pretrained: bool = False, **options: Any) -> torch.nn.Module:
        if pretrained and not online:
            raise ConnectionError("no route to host")
        return of_timm(name, channels=(16, 16, 16, 32), **options)

    of_timm = _CREATE
    monkeypatch.setattr(timm, "create_model", create)


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Whose generator is trained once."""
    return _small(tmp_path_factory.mktemp("mine"))


def test_variants_of_the_generator_are_runs_of_their_own(mine, monkeypatch):
    train_generator(mine)
    asked: list[int | None] = []
    train = generator.train

    def watched(*arguments: Any) -> Any:
        asked.append(arguments[3])
        return train(*arguments)

    monkeypatch.setattr(generator, "train", watched)
    names = (*strategies.GENERATORS, "early-1")
    runs = {name: train_generator(mine, name) for name in names}
    assert len({run.folder for run in runs.values()}) == 4
    assert asked == [2, 2]  # early; tuned goes on from base
    assert [run.record["label"] for run in runs.values()] == ["", *names[1:]]
    seeds = [runs[name].record["options"]["generator"]["seed"] for name in ("early", "early-1")]
    assert seeds == [0, 1]
    tuned = pd.read_csv(runs["tuned"].folder / "history.csv")
    assert "violation" in tuned
    left = {path.name for path in runs["tuned"].folder.iterdir() if path.is_dir()}
    assert not left & {"predictor", "checkpoints"}
    banks = [make_bank(mine, name).record for name in ("scanner", "early", "tuned")]
    assert len({record["digest"] for record in banks}) == 3
    with pytest.raises(ValueError, match="no generator 'late'"):
        train_generator(mine, "late")


def test_pairs_that_the_table_cannot_give_are_refused_before_the_generator_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(folder: Path) -> Cohort:
        found = load(folder)
        found.table.loc[0, "sex"] = ""  # of a pretraining scanner
        return found

    load = Cohort.load
    monkeypatch.setattr(Cohort, "load", lacking)
    monkeypatch.setattr(generator, "train", lambda *_: pytest.fail("it was trained"))
    with pytest.raises(ValueError, match=r"a bank over sex .* not every image states it"):
        train_generator(_small(tmp_path))


def _small(folder: Path) -> Experiment:
    """Profile tiny, with fewer images and less training."""
    tuning = TuningOptions(epochs=1, predictor=ClassifierOptions(epochs=1))
    return changed(
        experiment("tiny", "phantom-chest"),
        root=folder / "runs",
        source__n_train=45,
        source__n_val=6,
        source__n_test_per_scanner=4,
        generator__epochs=3,
        variants=VariantOptions(early_share=0.6, tuning=tuning),
    )


def _profile(
    folder: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: str, n_test_per_scanner: int = 30
) -> Experiment:
    """Profile tiny, in which another phantom tests the encoders of phantom-chest."""
    content = yaml.safe_load((ROOT / "configs" / "tiny.yaml").read_text())
    few = {"n_train": 70, "n_val": 30, "beside": []}
    phantoms = {name: content["cohorts"][name] | few for name in ("phantom-chest", elsewhere)}
    content["cohorts"] = {
        "phantom-chest": phantoms["phantom-chest"] | {"external": ["elsewhere"]},
        "elsewhere": phantoms[elsewhere] | {"seed": 5, "n_test_per_scanner": n_test_per_scanner},
    }
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "tested.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(config, "ROOT", folder)
    monkeypatch.chdir(folder)
    return experiment("tested", "phantom-chest")


@pytest.mark.parametrize("step", [evaluate, finetune_encoder])
def test_encoders_are_tested_on_external_cohorts(step, tmp_path, monkeypatch):
    mine = _profile(tmp_path, monkeypatch, "phantom-chest")
    control = mine.pretraining.controls[0]
    found = pd.read_csv(step(mine, control).folder / RESULTS_FILE)
    assert set(found["cohort"]) == {"phantom-chest"}
    assert set(found["strategy"]) == {"initial" if step is evaluate else "supervised"}
    external = found[found["test_cohort"] == "elsewhere"]
    assert set(external["domain"]) == {"elsewhere"}
    # The same figures as of an encoder that is at home there.
    home = config.experiment("tested", "elsewhere")
    there = pd.read_csv(step(home, control).folder / RESULTS_FILE)
    there = there[there["domain"] == "pooled"]
    assert external["value"].tolist() == pytest.approx(there["value"].tolist())
    assert len(external) > 0


def test_of_controls_only_what_all_start_from_is_finetuned(tmp_path):
    mine = _small(tmp_path)
    finetuned = [name.strategy for name in mine.pretraining.controls if name in mine.finetuned]
    assert finetuned == ["initial", "initial"]  # of SimCLR and of DINO
    with pytest.raises(ValueError, match="'simclr-random-0' is not finetuned; those that are: sim"):
        finetune_encoder(mine, EncoderName("simclr", "random", 0))
    assert changed(mine, finetuning=None).finetuned == ()


def test_external_cohorts_need_enough_images_and_of_the_same_size(tmp_path, monkeypatch, caplog):
    few = _profile(tmp_path / "few", monkeypatch, "phantom-chest", n_test_per_scanner=4)
    found = pd.read_csv(evaluate(few, few.pretraining.controls[0]).folder / RESULTS_FILE)
    assert set(found["test_cohort"]) == {"phantom-chest"}
    assert "external cohort 'elsewhere' gives no figure: split 'test' has" in caplog.text
    mine = _profile(tmp_path / "other", monkeypatch, "phantom-breast")
    with pytest.raises(ValueError, match=r"external cohort 'elsewhere' has images of \(32, 28\)"):
        evaluate(mine, mine.pretraining.controls[0])


def test_bank_and_quality_load_the_generator_onto_the_fastest_device(mine, monkeypatch):
    train_generator(mine)
    asked, load, device = list[Any](), generator.load, torch.device("meta")

    def watched(folder: Path, device: torch.device | str = "cpu") -> Any:
        asked.append(device)
        return load(folder)

    monkeypatch.setattr(devices, "fastest_device", lambda: device)
    for step in (bank, quality_step):
        monkeypatch.setattr(step, "load", watched)
    other = changed(mine, bank__batch_size=7)
    make_bank(other)
    assert asked == [device]
    judges = SimpleNamespace(scanner=None)
    monkeypatch.setattr(measuring, "train_judges", lambda *given: given[-1].mkdir() or judges)
    for module, name in ((abduction, "abduction"), (measuring, "measure")):
        monkeypatch.setattr(module, name, lambda *_: pd.DataFrame({"measure": [""]}))
    measure_quality(other)
    assert asked == [device, device]


class Killed(RuntimeError):
    """Stands for whatever ends a process."""


def _killed(*arguments: object) -> None:
    raise Killed


@pytest.mark.parametrize(("max_steps", "expected"), [(None, 4), (2, 2)])
def test_steps_per_epoch_reach_the_pretraining(max_steps, expected, tmp_path, monkeypatch):
    options = SimCLROptions(epochs=1, batch_size=10, max_steps=max_steps)
    mine = changed(_small(tmp_path), pretraining__simclr=options)
    asked: list[int] = []

    def watched(module: Any, batches: Any, **_: object) -> None:
        asked.append(len(batches))
        raise Killed

    monkeypatch.setattr(trainer, "fit", watched)
    with pytest.raises(Killed):
        pretrain(mine, EncoderName("simclr", "standard", 0))
    assert asked == [expected]


@pytest.mark.parametrize("step", ["generator", "pretraining"])
def test_a_kill_before_the_weights_are_saved_loses_no_training(step, tmp_path, monkeypatch):
    once = SimCLROptions(epochs=1, batch_size=20)
    mine = changed(_small(tmp_path), generator__epochs=1, pretraining__simclr=once)
    name = EncoderName("simclr", "standard", 0)
    if step == "generator":
        saved_by, finish = (trained_generator, "save"), partial(train_generator, mine)
    else:
        saved_by, finish = (storage, "write_safetensors"), partial(pretrain, mine, name)
    with monkeypatch.context() as patch:
        patch.setattr(*saved_by, _killed)
        with pytest.raises(Killed):
            finish()
    (unfinished,) = (mine.root / step).glob("*.partial")
    assert (unfinished / "checkpoints" / "last.ckpt").is_file()
    done = finish().folder
    assert not (done / "checkpoints").exists()
    assert len(pd.read_csv(done / "history.csv")) == 1
