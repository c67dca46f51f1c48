"""Profiles as they are written: YAML files in `configs/`, each perhaps on top of another.

Knows nothing of what the options mean: `config` does.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

# Both are names of folders below runs/, and the workflow knows a cohort by such a name.
_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_COHORT = re.compile(r"[a-z0-9-]+")
# Both make plain values only; the first, in C, takes a tenth of the time where it was built.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class CohortProfile:
    """A cohort's part of a profile.

    Attributes:
        entry: the cohort's own: options of its source, `data_root`, `beside`, `external`.
        sections: what its experiments do.
        cohorts: the entries of all cohorts.
        runs: folder of the profile's runs, relative to the repository.
    """

    entry: Mapping[str, Any]
    sections: Mapping[str, Any]
    cohorts: Mapping[str, Any]
    runs: Path

    def available(self, names: Iterable[str]) -> tuple[str, ...]:
        """Of some cohorts those that are simulated, imported, or whose folder is there."""
        return tuple(name for name in names if self._is_available(name))

    def _is_available(self, cohort: str) -> bool:
        root = self.data_root_of(cohort)
        imported = self.runs / cohort / "steps" / "cohort.json"
        return root is None or Path(root).is_dir() or imported.is_file()

    def data_root_of(self, cohort: str) -> str | None:
        """Folder of a cohort's images as the profile names it, if it does."""
        root: str | None = self.cohorts[cohort].get("data_root")
        return root


def read(folder: Path, profile: str, cohort: str) -> CohortProfile:
    """A cohort's part of the profile of that name in a folder, and of those below it.

    Raises:
        ValueError: there is no such profile or cohort, or a file is no profile; names the file and
            the line or the key.
    """
    entry: dict[str, Any] = {}
    sections: dict[str, Any] = {}
    cohorts: dict[str, Any] = {}
    for path, content in _contents(folder, profile).items():
        content.pop("base", None)
        own_cohorts = _mapping(content.pop("cohorts", {}), f"{path.name}: cohorts")
        place = f"{path.name}: cohort '{cohort}'"
        own = _mapping(own_cohorts.get(cohort, {}), place)
        # What a base says of the cohort gives way to what the profile on top says of all.
        changes = _mapping(own.pop("with", {}), f"{place}: with")
        sections = _merged(_merged(sections, content), changes)
        entry, cohorts = _merged(entry, own), _merged(cohorts, own_cohorts)
    for name in cohorts:
        if not isinstance(name, str) or not _COHORT.fullmatch(name):
            raise ValueError(
                f"{profile}.yaml: cohorts: {name!r} cannot be the name of a cohort, which is also "
                "that of a folder; use small letters, digits and '-'"
            )
    if cohort not in cohorts:
        raise ValueError(
            f"{profile}.yaml: cohort '{cohort}' is not in it; it has {sorted(cohorts)}"
        )
    for key in ("beside", "external"):
        if unknown := set(entry.get(key, ())) - set(cohorts):
            raise ValueError(
                f"{profile}.yaml, cohort '{cohort}': {key}: {sorted(unknown)} not in it"
            )
    return CohortProfile(entry, sections, cohorts, Path("runs") / profile)


def files(folder: Path, profile: str) -> list[Path]:
    """The files of a profile, from the lowest base up to its own.

    Raises:
        ValueError: one of them is not there or no profile, or they go round in a circle.
    """
    return list(_contents(folder, profile))


def _contents(folder: Path, profile: str) -> dict[Path, dict[str, Any]]:
    """The same with what they hold."""
    contents: dict[Path, dict[str, Any]] = {}
    name: str | None = profile
    while name is not None:
        if not isinstance(name, str) or not _PROFILE.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot be the name of a profile, which is also that of a folder; give "
                f"that of a file in {folder.name}/, without '.yaml'"
            )
        path = folder / f"{name}.yaml"
        if not path.is_file():
            names = sorted(file.stem for file in folder.glob("*.yaml"))
            raise ValueError(f"{path.name} is not in {folder.name}/; profiles are {names}")
        if path in contents:
            raise ValueError(f"{profile}.yaml: base: the bases go round in a circle at '{name}'")
        contents[path] = _content(path)
        name = contents[path].get("base")
    return dict(reversed(contents.items()))


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _LOADER)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1}" if place is not None else ""
        problem = getattr(error, "problem", None) or error
        raise ValueError(f"{path.name}{line}: this is no YAML: {problem}") from error
    return _mapping(content, path.name)


def _mapping(content: Any, what: str) -> dict[str, Any]:
    """A copy of what has to be a mapping."""
    if not isinstance(content, Mapping):
        kind = "empty" if content is None else f"a {type(content).__name__}"
        raise ValueError(f"{what} is {kind}; expected lines of `key: value`")
    return dict(content)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with the leaves of `above` put in their places."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        nested = isinstance(value, Mapping) and isinstance(old, Mapping)
        result[key] = _merged(old, value) if nested else value  # type: ignore[arg-type]
    return result
