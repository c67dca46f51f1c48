from itertools import product

import pytest
import yaml

from ccl import config
from ccl.config import experiment

WITH_TRUTH = ("phantom-chest", "phantom-breast", "mini-mias", "medmnist")


# Patches of 16 pixels do not tile 224 x 168.
UNTILED = pytest.param(
    "paper", "mini-mias", marks=pytest.mark.xfail(raises=ValueError, strict=True)
)
PAIRS = [
    UNTILED if pair == ("paper", "mini-mias") else pair
    for pair in product(["tiny", "quick", "study", "paper"], [*WITH_TRUTH, "nih", "folder"])
]


@pytest.mark.parametrize(("profile", "cohort"), PAIRS)
def test_every_profile_is_valid_for_every_cohort(profile, cohort):
    """Also its models for the cohort's frame."""
    made = experiment(profile, cohort)
    assert made.root.as_posix() == f"runs/{profile}/{cohort}"
    strategies = {name.strategy for name in made.pretraining.encoders}
    assert "oracle" not in strategies or cohort in WITH_TRUTH
    assert "oracle" in strategies or cohort != "phantom-chest"


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


def test_cohorts_beside_are_known(bad):
    content = tiny()
    content["cohorts"]["phantom-chest"]["beside"] = ["mars"]
    with pytest.raises(ValueError, match=r"beside: \['mars'\]"):
        bad(content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bad.yaml is empty"),
        ("- 1\n- 2\n", "bad.yaml is a list"),
        ("bank: {}\ncohorts:\n", "cohorts is empty"),
        ("bank: {}\ncohorts: {phantom-chest: }\n", "cohort 'phantom-chest' is empty"),
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
        ({"height": 36, "width": 28}, r"patches of 8 pixels do not tile images of \(36, 28\)"),
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
