"""Profiles: what they ask for, how they build on each other, and how a bad one is named."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from companion import strategies
from companion.cohorts.releases.folder import Columns
from companion.experiments import config, profiles
from companion.experiments.config import Experiment, experiment

CONFIGS = config.ROOT / "configs"
WITH_TRUTH = ("phantom-chest", "phantom-breast", "mini-mias", "medmnist")
CLINICAL = ("padchest", "chexpert", "rsna", "embed", "embed-held-out", "vindr")

Written = Callable[..., Experiment]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    """Writes profiles, given as contents or as text, and reads the last one for a cohort."""

    def read(cohort: str = "phantom-chest", **contents: Any) -> Experiment:
        monkeypatch.setattr(config, "ROOT", tmp_path)
        (tmp_path / "configs").mkdir(exist_ok=True)
        for name, content in contents.items():
            text = content if isinstance(content, str) else yaml.safe_dump(content)
            (tmp_path / "configs" / f"{name}.yaml").write_text(text)
        return experiment([*contents][-1], cohort)

    return read


def tiny() -> dict[str, Any]:
    """The content of the profile `tiny`."""
    return yaml.safe_load((CONFIGS / "tiny.yaml").read_text())


# The profiles of the repository


def every_cohort_of_every_profile() -> list[tuple[str, str]]:
    names = [file.stem for file in sorted(CONFIGS.glob("*.yaml"))]
    return [(name, each) for name in names for each in profiles.read(CONFIGS, name, "nih").cohorts]


@pytest.mark.parametrize(("profile", "cohort"), every_cohort_of_every_profile())
def test_what_a_profile_asks_for_is_pretrained_or_said_to_be_left_out(profile, cohort):
    asked = profiles.read(CONFIGS, profile, cohort).sections["pretraining"]
    made = experiment(profile, cohort)
    assert made.root.as_posix() == f"runs/{profile}/{cohort}"
    assert made.source.name == cohort
    trained = {name.strategy for name in made.pretraining.encoders}
    assert "oracle" not in trained or cohort.startswith(WITH_TRUTH)
    assert cohort != "phantom-chest" or not made.left_out
    for objective, names in asked["strategies"].items():
        kept = [each.strategy for each in made.pretraining.encoders if each.objective == objective]
        assert set(kept) == set(names) - set(made.left_out)
    assert len(made.omissions) == len(made.left_out)
    for name, why in made.left_out.items():
        assert any(f"'{name}'" in said and why in said for said in made.omissions)


@pytest.mark.parametrize("profile", ["paper", "paper-dry-run"])
@pytest.mark.parametrize("cohort", CLINICAL)
def test_the_paper_s_cohorts(profile: str, cohort: str) -> None:
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
    across_sex = "sexcf" in made.pretraining.strategies.get("simclr", ())
    assert across_sex == (cohort == "padchest" and not dry)
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


def test_the_readme_s_profile_for_ones_own_images(tmp_path: Path, written: Written) -> None:
    (text,) = re.findall(
        r"```yaml\n(.*?)```", (CONFIGS.parent / "README.md").read_text(), re.DOTALL
    )
    shutil.copytree(CONFIGS, tmp_path / "configs")
    mine, quick = written("folder", mine=text), experiment("quick", "folder")
    assert mine.source.columns == Columns(**yaml.safe_load(text)["cohorts"]["folder"]["columns"])
    assert mine.generator == quick.generator


# What is asked for


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
def test_strategies_without_a_bank_are_left_out(written, cohort, lacking):
    content = tiny()
    content["pretraining"]["strategies"] = {"simclr": list(strategies.STRATEGIES)}
    content["cohorts"]["phantom-breast"].pop("with")
    made = written(cohort, all=content)
    kept = made.pretraining.strategies["simclr"]
    assert set(strategies.STRATEGIES) - set(kept) == lacking == set(made.left_out)


def test_every_strategy_is_pretrained_with_every_seed_and_found_by_name(written: Written) -> None:
    content = tiny()
    asked = {"simclr": ["standard", "plus"], "dino": ["standard"]}
    content["pretraining"] |= {"seeds": [3, 4], "strategies": asked, "fewer_seeds": {"dino": 1}}
    options = written(mine=content).pretraining
    names = [str(name) for name in options.encoders]
    simclr = [f"simclr-{s}-{seed}" for s in ("standard", "plus") for seed in (3, 4)]
    assert sorted(names) == sorted([*simclr, "dino-standard-3"])
    for name in (*options.encoders, *options.controls):
        assert options.named(str(name)) == name
    with pytest.raises(ValueError, match="simclr-standard-3"):
        options.named("simclr-standard-99")


def test_cohorts_beside_whose_folder_is_not_there_are_left_out(tmp_path, written):
    content = tiny()
    cohorts = content["cohorts"]
    cohorts["phantom-chest"]["beside"] = ["nih", "folder", "phantom-breast"]
    cohorts["phantom-chest"]["external"] = ["folder", "nih"]
    cohorts["nih"]["data_root"], cohorts["folder"]["data_root"] = str(tmp_path), "nowhere/at/all"
    made = written(some=content)
    assert made.beside == ("nih", "phantom-breast")
    assert made.external == ("nih",)


# Profiles on top of others


def test_a_profile_whose_numbers_mean_nothing_says_so_also_through_others(written):
    for profile in ("quick", "study", "paper"):
        assert experiment(profile, "phantom-chest").remark == ""
    assert "mean nothing" in written(tiny=tiny()).remark
    assert "mean nothing" in written(above={"base": "tiny"}).remark
    assert written(mine={"base": "tiny", "remark": "Mine."}).remark == "Mine."


def test_a_profile_on_top_of_another_says_only_what_it_changes(written: Written) -> None:
    below = tiny()
    below["cohorts"]["nih"]["with"] = {"generator": {"epochs": 77, "beta": 7.0}}
    above = {"base": "below", "generator": {"epochs": 5}, "cohorts": {"nih": {"width": 24}}}
    plain = written("nih", below=below)
    nih = written("nih", above=above)
    assert (nih.generator.epochs, nih.generator.beta, nih.source.shape) == (5, 7.0, (32, 24))
    assert plain.generator.epochs == 77
    assert nih.pretraining == plain.pretraining
    with pytest.raises(ValueError, match="round in a circle"):
        written("nih", below={**below, "base": "above"})


# Bad profiles


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bad.yaml is empty"),
        ("- 1\n- 2\n", "bad.yaml is a list"),
        ("bank: {}\ncohorts:\n", "cohorts is empty"),
        ("bank: {}\ncohorts: {phantom-chest: }\n", "cohort 'phantom-chest' is empty"),
        ("bank: {}\ncohorts: {phantom-chest: {with: }}\n", "'phantom-chest': with is empty"),
        ("bank: {}\n\tquality: {}\n", "bad.yaml, line 2: this is no YAML"),
    ],
)
def test_what_is_no_profile_is_named_with_its_line(written, text, message):
    with pytest.raises(ValueError, match=message):
        written(bad=text)


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("generatr", {}, "generatr"),
        ("probing", {"seads": [0]}, "probing.seads"),
        ("bank", {"batch_size": "many"}, "bank.batch_size"),
        ("bank", {"variable": "sex"}, "bank.*the strategy decides"),
        ("generator", {"ema_decay": 1}, r"generator\.ema_decay"),
        ("pretraining", {"strategies": {"simclr": ["plus", "minus"]}}, "simclr.1.*'minus'"),
        ("pretraining", {"strategies": {"simclr": ["plus", "plus"]}}, "simclr.*twice"),
        ("pretraining", {"seeds": [0, 0]}, "seeds.*twice"),
        ("length", {"seeds": []}, "length.seeds"),
    ],
)
def test_a_bad_key_is_named(written: Written, key: str, value: Any, named: str) -> None:
    with pytest.raises(ValueError, match=rf"bad\.yaml[\s\S]*{named}"):
        written(bad={**tiny(), key: value})


@pytest.mark.parametrize("judge", ["resnet-slim", "vit-slim"])
def test_a_judge_of_an_architecture_in_use_elsewhere_is_refused(written, judge):
    content = tiny()
    content["quality"]["classifier"]["encoder"] = {"architecture": judge}
    with pytest.raises(ValueError, match=f"has '{judge}' as well"):
        written(same=content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 36, "width": 28}, r"patches of \(8, 8\) pixels do not tile .* of \(36, 28\)"),
        ({"height": 64, "width": 56}, "first resolution of 16, but .* is 9"),
    ],
)
def test_a_frame_that_a_model_cannot_take_is_refused_at_once(written, change, message):
    content = tiny()
    content["generator"]["hvae"]["stages"][0]["resolution"] = 9
    content["cohorts"] = {"phantom-breast": {"source": "phantom-breast"} | change}
    with pytest.raises(ValueError, match=rf"bad\.yaml, cohort 'phantom-breast': .*{message}"):
        written("phantom-breast", bad=content)


@pytest.mark.parametrize("key", ["beside", "external"])
def test_unknown_profiles_and_cohorts_are_named(written: Written, key: str) -> None:
    with pytest.raises(ValueError, match="cohort 'mars'"):
        written("mars", tiny=tiny())
    with pytest.raises(ValueError, match="profiles are"):
        experiment("huge", "nih")
    content = tiny()
    content["cohorts"]["phantom-chest"][key] = ["mars"]
    with pytest.raises(ValueError, match=rf"{key}: \['mars'\]"):
        written(bad=content)
