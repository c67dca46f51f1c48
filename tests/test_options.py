"""Every option that a profile can set is varied by some test."""

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union

from pydantic import BaseModel

from companion.cohorts import registry
from companion.experiments import config

TESTS = Path(__file__).parent


def reachable(kind: Any, known: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """Every options class in a type, those of its fields among them."""
    for part in typing.get_args(kind):
        yield from reachable(part, known)
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in known:
        known.add(kind)
        yield kind
        for field in kind.model_fields.values():
            yield from reachable(field.annotation, known)


def _holds_options(kind: Any) -> bool:
    return any(reachable(kind, set()))


CLASSES = list(reachable(Union[config.Sections, *registry.OPTIONS.values()], set()))
OPTIONS = {
    name
    for kind in CLASSES
    for name, field in kind.model_fields.items()
    if not _holds_options(field.annotation) and name != "source"  # the discriminator
}
TEXTS = "\n".join(file.read_text() for file in TESTS.rglob("test_*.py"))


def test_each_option_of_a_profile_is_varied_by_a_test() -> None:
    """As an argument or as a key; whether it reaches its use is for that test to show."""
    varied = {
        name
        for argument, key in re.findall(r"\b(\w+)=|[\"'](\w+)[\"']", TEXTS)
        for name in (argument or key).split("__")
    }
    assert not OPTIONS - varied
