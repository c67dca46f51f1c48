"""Options that make no sense are refused before any image is read or made."""

from typing import Any

import pytest
from pydantic import ValidationError

from companion.cohorts.registry import OPTIONS

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("phantom-chest", {"shares": {"Aurora": 1.0}}, "shares"),
    ("phantom-chest", {"shares": {"Aurora": 0.5, "Boreal": 0.4}}, "shares"),
    ("phantom-chest", {"shares": {"Aurora": 0.5, "Zephyr": 0.5}}, "shares"),
    ("phantom-chest", {"lesion_contrast": (0.4, 0.1)}, "lesion_contrast"),
    ("phantom-breast", {"shares": {"Fjord": 0.5, "Aurora": 0.5}}, "shares"),
    ("phantom-breast", {"prevalence": {"A": 0.5, "B": 0.5}}, "prevalence"),
    ("phantom-breast", {"prevalence": dict.fromkeys("ABCD", 0.5)}, "prevalence"),
    ("medmnist", {"held_out": ("Aurora",)}, "held_out"),
    ("medmnist", {"held_out": ("Fjord",)}, "held_out"),
    ("medmnist", {"held_out": ("Eos", "Eos")}, "held_out"),
    ("medmnist", {"shares": {"Aurora": 0.7, "Fjord": 0.3}}, "shares"),
    ("medmnist", {"display_gamma": 0.0}, "display_gamma"),
    ("nih", {"finding": "Cough"}, "unknown"),
    ("nih", {"scanners": ("DR-0.143", "X")}, "'X'.*expected each at most once"),
    ("nih", {"held_out_scanners": ("DR-0.143",)}, "at most once"),
    ("chexpert", {"finding": "Cough"}, "'Cough' is unknown"),
    ("folder", {"scaner": "x"}, "scaner"),
    ("folder", {"scanners": ("GE", "ge ")}, "names something twice"),
    ("folder", {"splits": {"train": 0.5, "val": 0.2, "test": 0.5}}, r"train \+ val \+ test = 1.2"),
    *(
        ("folder", {"percentiles": wrong}, "percentiles")
        for wrong in ((50, 50), (90, 10), (-1, 50), (0, 101))
    ),
]


@pytest.mark.parametrize(("source", "wrong", "message"), WRONG, ids=str)
def test_wrong_options_are_refused(source: str, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        OPTIONS[source].model_validate(wrong)
