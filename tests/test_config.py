import os
import re
import shutil
import subprocess
import sys
from itertools import product

import pytest
import yaml

from companion import strategies
from companion.cohorts.registry import states_sex
from companion.cohorts.releases.folder import Columns, FolderOptions
from companion.experiments import config, profiles
from companion.experiments.config import experiment

WITH_TRUTH = ("phantom-chest", "phantom-breast", "mini-mias", "medmnist")


CLINICAL = ("padchest", "chexpert", "rsna", "embed", "embed-held-out", "vindr")


PAIRS = list(product(["tiny", "quick", "study", "paper"], [*WITH_TRUTH, "nih", "folder"]))


@pytest.mark.parametrize(("profile", "cohort"), PAIRS)
def test_every_profile_is_valid_for_every_cohort(profile, cohort):
    """Also its models for the cohort's frame."""
    made = experiment(profile, cohort)
    assert made.root.as_posix() == f"runs/{profile}/{cohort}"
    strategies = {name.strategy for name in made.pretraining.encoders}
    assert "oracle" not in strategies or cohort in WITH_TRUTH
    assert "oracle" in strategies or cohort != "phantom-chest"


@pytest.mark.parametrize(
    ("cohort", "lacking"),
    [
        ("phantom-chest", set()),
        ("phantom-breast", {"sexcf", "oraclesex"}),
        ("nih", {"oracle", "oraclesex"}),
        ("mini-mias", {"sexcf", "oraclesex"}),
        ("folder", {"oracle", "sexcf", "oraclesex"}),
    ],
)
def test_strategies_without_a_bank_are_left_out(tmp_path, monkeypatch, cohort, lacking):
    content = yaml.safe_load((config.ROOT / "configs" / "tiny.yaml").read_text())
    content["pretraining"]["strategies"] = {"simclr": list(strategies.STRATEGIES)}
    content["cohorts"]["phantom-breast"].pop("with")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "all.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(config, "ROOT", tmp_path)
    made = experiment("all", cohort)
    kept = made.pretraining.strategies["simclr"]
    assert set(strategies.STRATEGIES) - set(kept) == lacking == set(made.left_out)


def written_cohorts():
    """Every cohort of every profile."""
    for file in sorted((config.ROOT / "configs").glob("*.yaml")):
        below = profiles.files(config.ROOT / "configs", file.stem)
        contents = [yaml.safe_load(each.read_text()) for each in below]
        names = dict.fromkeys(name for each in contents for name in each["cohorts"])
        yield from ((file.stem, name) for name in names)


@pytest.mark.parametrize(("profile", "cohort"), [*written_cohorts()])
def test_what_a_profile_asks_for_is_pretrained_or_said_to_be_left_out(profile, cohort):
    asked = profiles.read(config.ROOT / "configs", profile, cohort).sections["pretraining"]
    made = experiment(profile, cohort)
    for objective, names in asked["strategies"].items():
        kept = [each.strategy for each in made.pretraining.encoders if each.objective == objective]
        assert set(kept) == set(names) - set(made.left_out)
    assert len(made.omissions) == len(made.left_out)
    for name, why in made.left_out.items():
        assert any(f"'{name}'" in said and why in said for said in made.omissions)


def test_pairs_across_sex_are_possible_on_the_paper_s_own_cohort():
    made = experiment("paper", "padchest")
    assert "sexcf" in made.pretraining.strategies["simclr"]
    assert set(made.left_out) == {"oracle"}
    for cohort in ("embed", "vindr"):
        assert "the images state F" in experiment("paper", cohort).left_out["sexcf"]
    assert "can only test" in experiment("paper", "rsna").left_out["standard"]


@pytest.mark.parametrize("judge", ["resnet-slim", "vit-slim"])
def test_a_judge_of_an_architecture_in_use_elsewhere_is_refused(tmp_path, monkeypatch, judge):
    content = yaml.safe_load((config.ROOT / "configs" / "tiny.yaml").read_text())
    content["quality"]["classifier"]["encoder"] = {"architecture": judge}
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "same.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(config, "ROOT", tmp_path)
    with pytest.raises(ValueError, match=f"has '{judge}' as well"):
        experiment("same", "phantom-chest")


def test_a_profile_is_read_as_utf_8_whatever_the_login_s_encoding(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_bytes("cohorts: {folder: {columns: {label: Médecin}}}".encode())
    code = "import sys; from pathlib import Path; from companion.experiments import profiles\n"
    code += "print(ascii(profiles.read(Path(sys.argv[1]), 'mine', 'folder').entry))"
    old = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONPATH": str(config.ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env=os.environ | old,
        capture_output=True,
        text=True,
    )
    assert r"M\xe9decin" in done.stdout, done.stderr


@pytest.mark.parametrize("profile", ["quick", "paper"])
def test_a_cohort_is_called_what_its_profile_calls_it(profile):
    names = profiles.read(config.ROOT / "configs", profile, "nih").cohorts
    assert {name: experiment(profile, name).source.name for name in names} == {n: n for n in names}


def test_a_folder_with_a_column_of_sex_can_have_sexcf():
    assert states_sex(FolderOptions(columns=Columns(sex="sex")))
    assert not states_sex(FolderOptions())


def test_the_readme_s_profile_for_ones_own_images(tmp_path, monkeypatch):
    (text,) = re.findall(r"```yaml\n(.*?)```", (config.ROOT / "README.md").read_text(), re.DOTALL)
    shutil.copytree(config.ROOT / "configs", tmp_path / "configs")
    (tmp_path / "configs" / "mine.yaml").write_text(text)
    monkeypatch.setattr(config, "ROOT", tmp_path)
    mine, quick = experiment("mine", "folder"), experiment("quick", "folder")
    assert mine.source.columns == Columns(**yaml.safe_load(text)["cohorts"]["folder"]["columns"])
    assert mine.generator == quick.generator


@pytest.mark.parametrize("profile", ["paper", "paper-dry-run"])
@pytest.mark.parametrize("cohort", CLINICAL)
def test_the_paper_s_cohorts(profile, cohort):
    made = experiment(profile, cohort)
    can_pretrain = cohort in ("padchest", "embed", "vindr")
    assert bool(made.pretraining.encoders) == bool(made.pretraining.controls) == can_pretrain
    assert made.pretraining.simclr.encoder.architecture == "resnet50"
    assert made.pretraining.dino.encoder.architecture == "vit_base_patch16_224"
    assert made.pretraining.dino.head.prototypes == 65_536
    assert made.generator.hvae.stages[0].resolution == 224
    mammograms = cohort in ("embed", "embed-held-out", "vindr")
    assert made.source.shape == (224, 192 if mammograms else 224)
    assert made.source.background == ("remove" if mammograms else "keep")
    dry = profile == "paper-dry-run"
    assert made.data_root.startswith("runs/made-up/" if dry else "data/")
    assert experiment(profile, cohort, "/elsewhere").data_root == "/elsewhere"
    if can_pretrain:
        assert made.generator.beta == (1 if mammograms else 3)
        assert made.generator.epochs == (1 if dry else 30 if mammograms else 130)
        # What the dry run does not shorten, it must not hide.
        assert made.generator.gradient_skip == 25_000
        published = {
            made.pretraining.options(name).encoder.pretrained for name in ("simclr", "dino")
        }
        assert published == ({None} if dry else {"imagenet", "dinov2"})


def test_a_profile_whose_numbers_mean_nothing_says_so_also_through_others(tmp_path, monkeypatch):
    shutil.copytree(config.ROOT / "configs", tmp_path / "configs")
    (tmp_path / "configs" / "above.yaml").write_text("base: tiny\n")
    (tmp_path / "configs" / "mine.yaml").write_text("base: tiny\nremark: 'Mine.'\n")
    monkeypatch.setattr(config, "ROOT", tmp_path)
    for profile in ("tiny", "above", "paper-dry-run"):
        assert "mean nothing" in experiment(profile, "phantom-chest").remark
    assert experiment("mine", "phantom-chest").remark == "Mine."
    for profile in ("quick", "study", "paper"):
        assert experiment(profile, "phantom-chest").remark == ""


def test_a_profile_on_top_of_another_says_only_what_it_changes(tmp_path, monkeypatch):
    below = yaml.safe_load((config.ROOT / "configs" / "tiny.yaml").read_text())
    below["cohorts"]["nih"]["with"] = {"generator": {"epochs": 77, "beta": 7.0}}
    above = {"base": "below", "generator": {"epochs": 5}, "cohorts": {"nih": {"width": 24}}}
    (tmp_path / "configs").mkdir()
    monkeypatch.setattr(config, "ROOT", tmp_path)
    for name, content in (("below", below), ("above", above)):
        (tmp_path / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    nih, plain = experiment("above", "nih"), experiment("below", "nih")
    assert (nih.generator.epochs, nih.generator.beta, nih.source.shape) == (5, 7.0, (32, 24))
    assert plain.generator.epochs == 77
    assert nih.root.as_posix() == "runs/above/nih"
    assert nih.pretraining == plain.pretraining
    (tmp_path / "configs" / "below.yaml").write_text(yaml.safe_dump({**below, "base": "above"}))
    with pytest.raises(ValueError, match="round in a circle"):
        experiment("above", "nih")


def test_cohorts_beside_whose_folder_is_not_there_are_left_out(tmp_path, monkeypatch):
    content = yaml.safe_load((config.ROOT / "configs" / "tiny.yaml").read_text())
    cohorts = content["cohorts"]
    cohorts["phantom-chest"]["beside"] = ["nih", "folder", "phantom-breast"]
    cohorts["phantom-chest"]["external"] = ["folder", "nih"]
    cohorts["nih"]["data_root"], cohorts["folder"]["data_root"] = str(tmp_path), "nowhere/at/all"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "some.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(config, "ROOT", tmp_path)
    made = experiment("some", "phantom-chest")
    assert made.beside == ("nih", "phantom-breast")
    assert made.external == ("nih",)


def tiny():
    """The content of the profile `tiny`."""
    return yaml.safe_load((config.ROOT / "configs" / "tiny.yaml").read_text())


@pytest.fixture
def bad(tmp_path, monkeypatch):
    """Writes a profile `bad`, given as content or as text, and reads it for a cohort."""

    def read(content, cohort="phantom-chest"):
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        (tmp_path / "configs").mkdir(exist_ok=True)
        (tmp_path / "configs" / "bad.yaml").write_text(text)
        monkeypatch.setattr(config, "ROOT", tmp_path)
        return experiment("bad", cohort)

    return read


def test_encoders_and_controls_are_found_by_name():
    options = experiment("tiny", "phantom-chest").pretraining
    for name in (*options.encoders, *options.controls):
        assert options.named(str(name)) == name
    with pytest.raises(ValueError, match="simclr-standard-0"):
        options.named("simclr-standard-99")


def test_every_strategy_is_pretrained_with_every_seed(bad):
    content = tiny()
    content["pretraining"] |= {"seeds": [3, 4], "strategies": {"simclr": ["standard", "plus"]}}
    names = [str(name) for name in bad(content).pretraining.encoders]
    assert names == [f"simclr-{s}-{seed}" for s in ("standard", "plus") for seed in (3, 4)]


@pytest.mark.parametrize("key", ["beside", "external"])
def test_further_cohorts_are_known(bad, key):
    content = tiny()
    content["cohorts"]["phantom-chest"][key] = ["mars"]
    with pytest.raises(ValueError, match=rf"{key}: \['mars'\]"):
        bad(content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bad.yaml is empty"),
        ("- 1\n- 2\n", "bad.yaml is a list"),
        ("bank: {}\ncohorts:\n", "cohorts is empty"),
        ("bank: {}\ncohorts: {phantom-chest: }\n", "cohort 'phantom-chest' is empty"),
        ("bank: {}\ncohorts: {phantom-chest: {with: }}\n", "'phantom-chest': with is empty"),
        ("bank: {}\nquality: {sample: [1\ncohorts:\n", r"bad.yaml, line \d: this is no YAML"),
        ("bank: {}\n\tquality: {}\n", "bad.yaml, line 2: this is no YAML"),
    ],
)
def test_what_is_no_profile_is_named_with_its_line(bad, text, message):
    with pytest.raises(ValueError, match=message):
        bad(text)


def test_a_cohort_changes_only_what_it_names():
    chest, nih = (experiment("quick", name) for name in ("phantom-chest", "nih"))
    assert nih.generator.epochs != chest.generator.epochs
    assert nih.generator.hvae.stages == chest.generator.hvae.stages
    assert nih.probing == chest.probing


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("generatr", {}, "generatr"),
        ("probing", {"seads": [0]}, "probing.seads"),
        ("bank", {"batch_size": "many"}, "bank.batch_size"),
        ("bank", {"variable": "sex"}, "bank.*the strategy decides"),
        ("pretraining", {"strategies": {"simclr": ["plus", "minus"]}}, "simclr.1.*'minus'"),
    ],
)
def test_a_bad_key_is_named(bad, key, value, named):
    with pytest.raises(ValueError, match=rf"bad\.yaml.*\n.*{named}"):
        bad({**tiny(), key: value})


def test_a_senseless_number_is_named(bad):
    content = tiny()
    content["generator"]["ema_decay"] = 1
    with pytest.raises(ValueError, match=r"generator\.ema_decay"):
        bad(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 36, "width": 28}, r"patches of \(8, 8\) pixels do not tile .* of \(36, 28\)"),
        ({"height": 64, "width": 56}, "first resolution of 16, but .* is 9"),
    ],
)
def test_a_frame_that_a_model_cannot_take_is_refused_at_once(bad, change, message):
    content = tiny()
    content["generator"]["hvae"]["stages"][0]["resolution"] = 9
    content["cohorts"] = {"phantom-breast": {"source": "phantom-breast"} | change}
    with pytest.raises(ValueError, match=rf"bad\.yaml, cohort 'phantom-breast': .*{message}"):
        bad(content, "phantom-breast")


def test_unknown_profiles_and_cohorts_are_named():
    with pytest.raises(ValueError, match="profiles are"):
        experiment("huge", "nih")
    with pytest.raises(ValueError, match="cohort 'mars'"):
        experiment("tiny", "mars")
