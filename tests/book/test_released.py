"""The page on the released code says of our side what profile `paper` does."""

import re
import shutil
from functools import cache, reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from companion.experiments import config

PAGE = (config.ROOT / "book" / "released.md").read_text()
# `generator.decline = none`, or `embed: generator.epochs = 30` of another cohort than PadChest
STATED = re.compile(r"`(?:([a-z-]+): )?([a-z_]+(?:\.[a-z_0-9]+)+) = ([^`]+)`")
CLAIMS = STATED.findall(PAGE)
PROFILES = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
# Of what is known to depart, whatever else the page says.
DEPARTURES = {
    *("generator.hvae.pixel_scale", "generator.hvae.zero_output", "generator.hvae.block"),
    *("generator.hvae.dropout", "generator.decline", "generator.rare_scanner_weight"),
    *("generator.bfloat16", "pretraining.simclr.augment.rotation_probability"),
    *("pretraining.simclr.augment.intensity_probability", "pretraining.simclr.decline"),
    *("pretraining.dino.crops.solarize_probability", "pretraining.dino.crops.blur_sigma"),
    *("pretraining.dino.ibot_head", "pretraining.dino.encoder.pretrained"),
    *("pretraining.dino.drop_path", "pretraining.dino.centering"),
}

paper = cache(lambda cohort: config.experiment("paper", cohort))


def plain(value: Any) -> Any:
    """As YAML has it."""
    return [plain(each) for each in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize(("cohort", "key", "value"), CLAIMS, ids=lambda part: part)
def test_the_profile_does_what_the_page_says(cohort: str, key: str, value: str) -> None:
    found = reduce(getattr, key.split("."), paper(cohort or "padchest"))
    assert plain(found) == yaml.safe_load(value)


def test_known_departures_are_on_the_page() -> None:
    assert {key for _, key, _ in CLAIMS} >= DEPARTURES


def test_every_row_has_four_cells() -> None:
    for table in re.findall(r"```\{list-table\}.*?\n\n(.*?)```", PAGE, flags=re.DOTALL):
        for row in re.split(r"^\* ", table, flags=re.MULTILINE)[1:]:
            assert len(re.findall(r"^ *- ", row, flags=re.MULTILINE)) == 4, row


@pytest.mark.parametrize("text", PROFILES)
def test_the_profiles_of_the_page_are_profiles(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    shutil.copy(config.ROOT / "configs" / "paper.yaml", tmp_path / "configs")
    (tmp_path / "configs" / "mine.yaml").write_text(text)
    expected = paper("padchest")
    monkeypatch.setattr(config, "ROOT", tmp_path)
    made = config.experiment("mine", "padchest")
    assert (made.generator, made.pretraining) != (expected.generator, expected.pretraining)
